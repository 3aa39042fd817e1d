"""Error responses of the APIs. Each interface has its own statuses and envelope, its `Refusals`.

`handle` is DRF's EXCEPTION_HANDLER. Every other exception is a bug.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from math import ceil
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.signals import got_request_exception
from django.http import Http404, HttpRequest
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from oasst.api.error_codes import ErrorCode, error_code_of
from oasst.api.operations import Operation
from oasst.api.parsers import InvalidJson
from oasst.api.renderers import PROBLEM
from oasst.core import metrics
from oasst.core.errors import DomainError, Unreadable, as_domain_error
from oasst.core.http.error_views import status_of

log = logging.getLogger(__name__)
MAX_PROBLEMS = 100
"""Problems of a body that are listed, so that the response is not many times larger than the request."""
DEFAULT_RETRY_AFTER = 30
"""Default of Retry-After in seconds, because 429 and 503 always have one."""


@dataclass(frozen=True)
class Refusal:
    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str = ""  # of the domain error, for RFC 9457


class BadInput(exceptions.APIException):
    """All problems of path, query and body."""

    status_code = 422

    def __init__(self, details: list[tuple[str, Any]]) -> None:
        super().__init__()
        self.details = details

    def problems(self) -> Iterator[dict[str, Any]]:
        for source, details in self.details:
            yield from problems_of(details, (source,))


class Refusals(ABC):
    """The error responses of an interface."""

    edge: str
    """The label in the metrics."""
    crash: Refusal
    too_large: Refusal
    garbled: Refusal
    as_problems = True
    """Use RFC 9457 if the client accepts it."""

    def refusal_for(self, error: Exception, operation: Operation | None, allowed: Iterable[str] = ()) -> Refusal | None:
        """Return the response to an error, or None for a bug. `allowed` are the methods of the path."""
        if isinstance(error, InvalidJson):
            return self.not_json(error)
        if isinstance(error, BadInput):
            return self.bad_input(error)
        domain_error = as_domain_error(error)
        if isinstance(domain_error, Unreadable):
            return self.too_large if domain_error.code == "too_large" else self.garbled
        if domain_error is not None:
            return self.count_and_refuse(domain_error, operation)
        if isinstance(error, exceptions.MethodNotAllowed):
            return self.plain_refusal(405, "Method Not Allowed", {"Allow": ", ".join(sorted(allowed))})
        if isinstance(error, Http404):
            return self.plain_refusal(404, "Not Found")
        if isinstance(error, PermissionDenied):
            return self.plain_refusal(403, str(error) or "Forbidden")
        if isinstance(error, exceptions.ValidationError):
            return self.bad_input(BadInput([("body", error.detail)]))
        if isinstance(error, exceptions.APIException):
            wait = getattr(error, "wait", None)
            return self.plain_refusal(
                error.status_code, str(error.detail), {"Retry-After": str(ceil(wait))} if wait else {}
            )
        return None

    def count_and_refuse(self, error: DomainError, operation: Operation | None = None) -> Refusal:
        metrics.domain_errors.labels(edge=self.edge, code=error.code).inc()
        return self.refused(error, operation)

    @abstractmethod
    def refused(self, error: DomainError, operation: Operation | None) -> Refusal: ...

    @abstractmethod
    def not_json(self, error: InvalidJson) -> Refusal: ...

    @abstractmethod
    def bad_input(self, error: BadInput) -> Refusal: ...

    def plain_refusal(self, status: int, words: str, headers: Mapping[str, str] | None = None) -> Refusal:
        """Return a refusal that is not a domain error."""
        return Refusal(status, {"detail": words}, headers or {})

    def respond(self, refusal: Refusal, request: HttpRequest | Request) -> Response:
        """Return the response in the envelope of the interface, or as RFC 9457."""
        as_problem = self.as_problems and PROBLEM in request.headers.get("Accept", "")
        body, media = (_problem(refusal), PROBLEM) if as_problem else (refusal.body, None)
        response = Response(body, refusal.status, headers=refusal.headers, content_type=media)
        # Keep Django from logging each refusal a second time, besides the line of the request.
        response._has_been_logged = True  # type: ignore[attr-defined]
        return response


class DataRefusals(Refusals):
    """`{"error_code": int, "message": str}`, and a list of problems for bad input."""

    edge = "api"
    crash = Refusal(500, {"message": "INTERNAL_SERVER_ERROR", "error_code": ErrorCode.GENERIC_ERROR})
    too_large = Refusal(
        413, {"detail": "Request Entity Too Large", "error_code": 0, "message": "The body is too large."}
    )
    garbled = Refusal(400, {"detail": "Bad Request"})

    def refused(self, error: DomainError, operation: Operation | None) -> Refusal:
        own_number = error_code_of(error.code)
        fallback = operation.fallback if operation else ErrorCode.GENERIC_ERROR
        number = fallback if own_number is None else own_number
        # The fallback number of an operation also sets the status, unless the error is a 503.
        status = number.status if number and (own_number or status_of(error) != 503) else status_of(error)
        status = operation.statuses.get(number, status) if operation else status
        headers = {}
        wait = getattr(error, "retry_after", None)
        if wait is not None or status in (429, 503):
            headers["Retry-After"] = str(wait or DEFAULT_RETRY_AFTER)
        return Refusal(status, {"error_code": number, "message": error.message}, headers, error.code)

    def not_json(self, error: InvalidJson) -> Refusal:
        return _bad_input([error.place])

    def bad_input(self, error: BadInput) -> Refusal:
        return _bad_input(error.problems())


DATA_REFUSALS = DataRefusals()


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's EXCEPTION_HANDLER. A view without `refusals` uses those of the data API."""
    view, request = context["view"], context["request"]
    refusals: Refusals = getattr(view, "refusals", DATA_REFUSALS)
    refusal = refusals.refusal_for(error, getattr(view, "operation", None), view.allowed_methods)
    if refusal is None:
        log.exception("%s %s crashed", request.method, getattr(request.resolver_match, "route", "?"))
        got_request_exception.send(sender=type(view), request=request._request)
        refusal = refusals.crash
    return refusals.respond(refusal, request)


def _problem(refusal: Refusal) -> dict[str, Any]:
    body = refusal.body
    errors = body["detail"] if isinstance(body.get("detail"), list) else []
    detail = body.get("message") or body["detail"]
    return {
        "type": f"/docs/#status-{refusal.status}",
        "title": refusal.code.replace("_", " ").capitalize() or detail,
        "status": refusal.status,
        "detail": detail,
        "code": refusal.code,
        "error_code": body.get("error_code", ErrorCode.GENERIC_ERROR),
        "errors": errors,
    }


def _bad_input(details: Iterable[dict[str, Any]]) -> Refusal:
    """Return a 422 with the list of problems, and with `error_code` and `message` for clients that only know those."""
    problems = list(islice(details, MAX_PROBLEMS))
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    message = f"{where}: {first['msg']}" if where else first["msg"]
    return Refusal(
        422, {"detail": problems, "error_code": ErrorCode.GENERIC_ERROR, "message": message}, code="bad_input"
    )


# DRF's code of a problem → the type that API clients know from Open-Assistant.
_TYPES = {
    "required": "value_error.missing",
    "null": "type_error.none.not_allowed",
    "blank": "value_error.any_str.min_length",
    "min_length": "value_error.any_str.min_length",
    "max_length": "value_error.any_str.max_length",
    "min_value": "value_error.number.not_gt",
    "max_value": "value_error.number.not_le",
    "invalid_choice": "type_error.enum",
    "not_a_list": "type_error.list",
    "not_a_dict": "type_error.dict",
    "empty": "value_error.list.min_items",
}


def problems_of(details: Any, path: tuple[str | int, ...]) -> Iterator[dict[str, Any]]:
    """Yield each problem of DRF's nested details with its path."""
    if isinstance(details, exceptions.ErrorDetail):
        code = str(details.code)
        kind = _TYPES.get(code) or (code if "." in code else "value_error")
        yield {"loc": list(path), "msg": _short(details, 1000), "type": kind}
    elif isinstance(details, dict):
        for name, inner in details.items():
            part = name if isinstance(name, int) else _short(name)  # the index in a list, or the name of a member
            yield from problems_of(inner, path if name == "non_field_errors" else (*path, part))
    elif isinstance(details, list):
        is_nested = any(not isinstance(inner, exceptions.ErrorDetail) for inner in details)
        for index, inner in enumerate(details):
            yield from problems_of(inner, (*path, index) if is_nested else path)


def _short(text: object, limit: int = 100) -> str:
    """Shorten names and values, which the client chose."""
    return f"{str(text)[:limit]}…" if len(str(text)) > limit else str(text)
