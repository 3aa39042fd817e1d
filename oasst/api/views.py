"""Operations of the wire as views: JSON in, JSON out, and every refusal in its envelope."""

import logging
from collections.abc import Iterable
from typing import Any

from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, URLPattern, path, re_path, resolve
from django.utils.encoding import escape_uri_path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.views import APIView

from oasst.api import cors
from oasst.api.answers import answer, refuse
from oasst.api.codes import Wire
from oasst.api.exceptions import Refusal, bad_input, places, refusal
from oasst.api.operations import BadInput, NotJson, Operation, by_path, run

log = logging.getLogger(__name__)
CRASH = Refusal(500, {"message": "INTERNAL_SERVER_ERROR", "error_code": Wire.GENERIC_ERROR})


class OperationView(APIView):
    """All operations of one path, by method. DRF's own dispatch is left out: the wire has its own order of checks."""

    operations: dict[str, Operation] = {}

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: str) -> HttpResponseBase:
        response: HttpResponseBase | None = cors.preflight(request) if "GET" in self.operations else None
        if response is None:
            response = self._answer(request, kwargs)
            if request.method == "GET":
                cors.mark(request, response)
        return response

    def _answer(self, request: HttpRequest, kwargs: dict[str, str]) -> HttpResponseBase:
        operation = self.operations.get(request.method or "")
        if operation is None:
            allow = {"Allow": ", ".join(sorted(self.operations))}
            return refuse(Refusal(405, {"detail": "Method Not Allowed"}, allow), request)
        try:
            data = self.run(operation, request, kwargs)
            return data if isinstance(data, HttpResponseBase) else answer(data, operation, request)
        except Exception as error:
            return refuse(self.refusal(error, operation, request), request)

    def run(self, operation: Operation, request: HttpRequest, path: dict[str, str]) -> Any:
        return run(operation, request, path)

    def refusal(self, error: Exception, operation: Operation, request: HttpRequest) -> Refusal:
        return _refusal(error, operation, request)


def _refusal(error: Exception, operation: Operation, request: HttpRequest) -> Refusal:
    if isinstance(error, NotJson):
        return bad_input(error.problems)
    if isinstance(error, BadInput):
        return bad_input(place for source, details in error.details for place in places(details, (source,)))
    found = refusal(error, operation.fallback, operation.statuses)
    if found is None:
        report_crash(operation, request)
        return CRASH
    return found


def report_crash(operation: Operation, request: HttpRequest) -> None:
    """To be called where the error was caught."""
    log.exception("%s %s crashed", operation.method, operation.path)
    got_request_exception.send(sender=OperationView, request=request)


def urls_of(
    operations: Iterable[Operation], kind: type[OperationView] = OperationView, prefix: str = "api"
) -> list[URLPattern]:
    """A URL for each path, and behind them all the answer to paths that are none."""
    found = []
    for route, methods in by_path(operations).items():
        handlers = {method.lower(): _handler(operation) for method, operation in methods.items()}
        view: type[OperationView] = type("OperationView", (kind,), {"operations": methods, **handlers})
        found.append(path(route, view.as_view(), name=f"{prefix}-{route}"))
    return [*found, re_path("", elsewhere)]


def _handler(operation: Operation) -> Any:
    """Never called: DRF's tools find the methods of a view by its attributes."""

    def handler(self: APIView, request: HttpRequest) -> HttpResponseBase:
        return self.dispatch(request)

    handler.__doc__ = operation.act.__doc__
    return handler


@csrf_exempt
def elsewhere(request: HttpRequest) -> HttpResponse:
    """307 to the other spelling of the slash, which keeps method and body; 404 where that is no path either."""
    other = request.path_info[:-1] if request.path_info.endswith("/") else f"{request.path_info}/"
    try:
        found = resolve(other)
    except Resolver404:
        return refuse(Refusal(404, {"detail": "Not Found"}), request)
    if found.func is elsewhere or not found.url_name:
        return refuse(Refusal(404, {"detail": "Not Found"}), request)
    query = request.META.get("QUERY_STRING", "")
    response = HttpResponse(status=307)
    response["Location"] = request.build_absolute_uri(escape_uri_path(other) + (f"?{query}" if query else ""))
    return response
