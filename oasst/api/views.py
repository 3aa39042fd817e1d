"""DRF views of operations, one per path.

`initial` checks requests in the order that clients expect. The subclass of `OperationView` for an interface has its
`policies` (who is let in) and its `refusals`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, URLPattern, path, re_path, resolve
from django.utils.datastructures import MultiValueDict
from django.utils.encoding import escape_uri_path
from django.views.decorators.csrf import csrf_exempt
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from oasst.accounts.models import User
from oasst.api import cors
from oasst.api.authentication import ApiKeyAuthentication, RefuseOtherSites, TokenAuthentication, find_viewer
from oasst.api.conditional import make_conditional, pagination_links
from oasst.api.exceptions import DATA_REFUSALS, BadInput, Refusals
from oasst.api.idempotent_writes import replay_or_run
from oasst.api.operations import Access, Call, Operation, group_by_path
from oasst.api.permissions import HasKeyOrToken, IsRoot, IsTrusted
from oasst.api.renderers import JSON, render_now
from oasst.api.streams import stream
from oasst.api.throttling import ClientWrites


class Policy(NamedTuple):
    """DRF's policy classes for one kind of access."""

    authentication: tuple[type[BaseAuthentication], ...] = ()
    permissions: tuple[type[BasePermission], ...] = ()
    throttles: tuple[type[BaseThrottle], ...] = ()


OPEN = Policy()


class OperationRequest(Request):
    def _load_data_and_files(self) -> None:
        """Read the body even without a Content-Length, and never as a form, unlike DRF."""
        parser: Any = self.negotiator.select_parser(self, self.parsers)  # type: ignore[union-attr,arg-type]
        self._data = self._full_data = parser.parse(self._request, self.content_type, {})
        self._files: MultiValueDict[str, Any] = MultiValueDict()


class OperationView(APIView):
    operations: Mapping[str, Operation] = {}
    """By method; set by the subclass for each path."""
    policies: Mapping[Access, Policy] = {}
    refusals: Refusals
    syntax_first = False
    """Report invalid JSON before a bad key."""
    repeats = False
    """Support the header Idempotency-Key."""
    etags = True

    operation: Operation | None
    call: Call

    head = APIView.http_method_not_allowed  # else Django sets it to `get`, a reference cycle

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        self.operation = self.operations.get(request.method or "")
        policy = self.policies[self.operation.access] if self.operation else OPEN
        self.authentication_classes, self.permission_classes, self.throttle_classes = policy
        result = OperationRequest(
            request, self.get_parsers(), self.get_authenticators(), negotiator=self.get_content_negotiator()
        )
        result.parser_context = {}  # DRF's own refers to the request: a cycle, which only a garbage collection frees
        return result

    def initial(self, request: Request, *args: Any, **kwargs: str) -> None:
        operation = self.operation
        if operation is None:
            if request.method != "OPTIONS":
                self.http_method_not_allowed(request)
            return
        if self.syntax_first and operation.body:
            _ = request.data
        if not operation.input_before_key:
            self.check_access(request)
        self.call = read_input(operation, request, kwargs)
        if operation.input_before_key:
            self.check_access(request)
        if self.authentication_classes:
            self.call.auth, self.call.viewer = request.auth, self.find_viewer(request)
        self.check_throttles(request)

    def check_access(self, request: Request) -> None:
        # Only if necessary, because it overwrites `request.user`, which `auth/callback` reads from the session.
        if self.authentication_classes:
            self.perform_authentication(request)
        self.check_permissions(request)

    def find_viewer(self, request: Request) -> User | None:
        """Return the user for whom the call is made."""
        return request.user if isinstance(request.user, User) else None

    def act(self, request: Request, *args: Any, **kwargs: str) -> HttpResponseBase:
        """Handle every method of the path."""
        call = self.call
        if self.repeats and request.method == "POST" and "Idempotency-Key" in request.headers:
            data = replay_or_run(call, lambda: run_operation(call))
        else:
            data = run_operation(call)
        if isinstance(data, HttpResponseBase):
            return data
        if call.operation.media != JSON:
            return stream(data, call.operation.media, call.request)
        return Response(data, call.operation.status, headers=call.headers)

    def options(self, request: Any, *args: Any, **kwargs: str) -> Any:
        response = cors.preflight(request._request) if "GET" in self.operations else None
        return response or self.http_method_not_allowed(request)

    def finalize_response(self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: str) -> Any:
        # Without super(), which would add the header Allow to every response.
        if isinstance(response, Response):
            try:
                self._write(request, response)
            except Exception as error:  # the result cannot be written as JSON
                response = self.handle_exception(error)
                self._write(request, response)
        if request.method == "GET":
            cors.add_headers(request._request, response)
        return response

    def _write(self, request: Request, response: Response) -> None:
        page = response.data
        render_now(response, self.get_renderers()[0])
        if response.exception or request.method != "GET" or not self.etags or "Cache-Control" in response:
            return
        if self.call.operation.is_paginated and (links := pagination_links(page, self.call.request)):
            response["Link"] = links
        make_conditional(response, self.call.request)

    def _allowed_methods(self) -> list[str]:
        return sorted(self.operations)


def run_operation(call: Call) -> Any:
    """Run the operation and return its result as plain data, or the response that it made itself."""
    result = call.operation.act(call)
    return result if result is None or isinstance(result, HttpResponseBase) else call.operation.represent(result)


def read_input(operation: Operation, request: Request, path: Mapping[str, str]) -> Call:
    """Validate path, query and body. Raise BadInput with all problems at once."""
    problems: list[tuple[str, Any]] = []

    def check(source: str, field: Any, value: Any, name: str = "") -> Any:
        try:
            return field.run_validation(value)
        except serializers.ValidationError as error:
            problems.append((source, {name: error.detail} if name else error.detail))

    call = Call(request._request, operation)
    call.path = {name: check("path", operation.path_fields_by_name[name], value, name) for name, value in path.items()}
    if operation.query_schema:
        call.query = check("query", operation.query_schema, {name: request.GET[name] for name in request.GET})
    if operation.body_schema:
        if request.data is serializers.empty or request.data is None:  # null counts as missing
            if operation.body_required:
                problems.append(("body", [serializers.ErrorDetail("field required", "required")]))
        else:
            call.body = check("body", operation.body_schema, request.data)
    if problems:
        raise BadInput(problems)
    return call


_KEY = (RefuseOtherSites, ApiKeyAuthentication)
_KEY_OR_TOKEN = (*_KEY, TokenAuthentication)


class DataView(OperationView):
    """Operations of the data API, for API clients and for users with their own tokens."""

    policies = {
        Access.OPEN: OPEN,
        Access.KEY: Policy(_KEY_OR_TOKEN, (HasKeyOrToken,), (ClientWrites,)),
        Access.PROGRAM: Policy(_KEY, (HasKeyOrToken,), (ClientWrites,)),
        Access.TRUSTED: Policy(_KEY_OR_TOKEN, (IsTrusted,), (ClientWrites,)),
        Access.ROOT: Policy((RefuseOtherSites,), (IsRoot,)),
    }
    refusals = DATA_REFUSALS
    syntax_first = True
    repeats = True

    def find_viewer(self, request: Request) -> User | None:
        """Return the user of X-OASST-USER if the operation uses that header."""
        client: Any = request.auth
        return find_viewer(client, request._request) if self.call.operation.viewer else None


@csrf_exempt
def unknown_path(request: HttpRequest) -> HttpResponse:
    """Redirect with 307, which keeps method and body, to the path with or without the slash; 404 if unknown too."""
    other = request.path_info[:-1] if request.path_info.endswith("/") else f"{request.path_info}/"
    try:
        match = resolve(other)
    except Resolver404:
        return not_found(request)
    if match.func is unknown_path or not match.url_name:
        return not_found(request)
    query = request.META.get("QUERY_STRING", "")
    response = HttpResponse(status=307)
    response["Location"] = request.build_absolute_uri(escape_uri_path(other) + (f"?{query}" if query else ""))
    return response


def not_found(request: HttpRequest, refusals: Refusals = DATA_REFUSALS, words: str = "Not Found") -> HttpResponse:
    return render_now(refusals.respond(refusals.plain_refusal(404, words), request))


def make_view(methods: Mapping[str, Operation], kind: type[OperationView]) -> type[OperationView]:
    """Return the view class of one path."""
    assert {op.access for op in methods.values()} <= kind.policies.keys(), f"{kind.__name__} lacks a policy"
    return type(kind.__name__, (kind,), {"operations": methods, **{method.lower(): kind.act for method in methods}})


def make_urls(
    operations: Iterable[Operation],
    kind: type[OperationView] = DataView,
    prefix: str = "api",
    fallback: Callable[..., HttpResponseBase] = unknown_path,
) -> list[URLPattern]:
    """Return a URL pattern for each path, and `fallback` for unknown paths."""
    views = {route: make_view(methods, kind).as_view() for route, methods in group_by_path(operations).items()}
    names = {route: f"{prefix}-{route.replace('<path:', '<')}" for route in views}
    return [*(path(route, view, name=names[route]) for route, view in views.items()), re_path("", fallback)]
