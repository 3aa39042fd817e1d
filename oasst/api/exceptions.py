"""Every refusal of the APIs. An interface has one table of statuses and one envelope, its `Refusals`.

`handle` is DRF's EXCEPTION_HANDLER. What the interface does not understand is a bug.
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

from oasst.api.codes import Wire, number_of
from oasst.api.operations import Operation
from oasst.api.parsers import NotJson
from oasst.api.renderers import PROBLEM
from oasst.core import metrics
from oasst.core.errors import DomainError, Unreadable, as_domain_error
from oasst.core.http.error_views import status_of

log = logging.getLogger(__name__)
MOST_PROBLEMS = 100
"""So many problems of one body are told: an answer must not be many times what was sent."""
COME_BACK_AFTER = 30
"""429 and 503 always say when to come back, also where nobody knows better than "a little later"."""


@dataclass(frozen=True)
class Refusal:
    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str = ""  # of the domain, for those who ask for RFC 9457


class BadInput(exceptions.APIException):
    """What is wrong with path, query and body, all of it."""

    status_code = 422

    def __init__(self, details: list[tuple[str, Any]]) -> None:
        super().__init__()
        self.details = details

    def places(self) -> Iterator[dict[str, Any]]:
        for source, details in self.details:
            yield from places(details, (source,))


class Refusals(ABC):
    """What an interface answers to an error."""

    edge: str
    """Its name in the metrics."""
    crash: Refusal
    too_large: Refusal
    garbled: Refusal
    as_problems = True
    """Also as RFC 9457, for whoever accepts that."""

    def of(self, error: Exception, operation: Operation | None, allowed: Iterable[str] = ()) -> Refusal | None:
        """None for a bug. `allowed`: the methods of the path."""
        if isinstance(error, NotJson):
            return self.not_json(error)
        if isinstance(error, BadInput):
            return self.bad_input(error)
        known = as_domain_error(error)
        if isinstance(known, Unreadable):
            return self.too_large if known.code == "too_large" else self.garbled
        if known is not None:
            return self.of_domain(known, operation)
        if isinstance(error, exceptions.MethodNotAllowed):
            return self.in_words(405, "Method Not Allowed", {"Allow": ", ".join(sorted(allowed))})
        if isinstance(error, Http404):
            return self.in_words(404, "Not Found")
        if isinstance(error, PermissionDenied):
            return self.in_words(403, str(error) or "Forbidden")
        if isinstance(error, exceptions.ValidationError):
            return self.bad_input(BadInput([("body", error.detail)]))
        if isinstance(error, exceptions.APIException):
            wait = getattr(error, "wait", None)
            return self.in_words(error.status_code, str(error.detail), {"Retry-After": str(ceil(wait))} if wait else {})
        return None

    def of_domain(self, error: DomainError, operation: Operation | None = None) -> Refusal:
        metrics.domain_errors.labels(edge=self.edge, code=error.code).inc()
        return self.refused(error, operation)

    @abstractmethod
    def refused(self, error: DomainError, operation: Operation | None) -> Refusal: ...

    @abstractmethod
    def not_json(self, error: NotJson) -> Refusal: ...

    @abstractmethod
    def bad_input(self, error: BadInput) -> Refusal: ...

    def in_words(self, status: int, words: str, headers: Mapping[str, str] | None = None) -> Refusal:
        """For what has no code of the domain."""
        return Refusal(status, {"detail": words}, headers or {})

    def respond(self, refused: Refusal, request: HttpRequest | Request) -> Response:
        """In the envelope of the interface, or as RFC 9457 has it."""
        as_problem = self.as_problems and PROBLEM in request.headers.get("Accept", "")
        body, media = (_problem(refused), PROBLEM) if as_problem else (refused.body, None)
        response = Response(body, refused.status, headers=refused.headers, content_type=media)
        # Refusals are everyday: the line of the request says it, Django need not warn of each once more.
        response._has_been_logged = True  # type: ignore[attr-defined]
        return response


class DataRefusals(Refusals):
    """`{"error_code": int, "message": str}`, and a list of places for bad input."""

    edge = "api"
    crash = Refusal(500, {"message": "INTERNAL_SERVER_ERROR", "error_code": Wire.GENERIC_ERROR})
    too_large = Refusal(
        413, {"detail": "Request Entity Too Large", "error_code": 0, "message": "The body is too large."}
    )
    garbled = Refusal(400, {"detail": "Bad Request"})

    def refused(self, error: DomainError, operation: Operation | None) -> Refusal:
        known = number_of(error.code)
        fallback = operation.fallback if operation else Wire.GENERIC_ERROR
        number = fallback if known is None else known
        # A refusal that only has the number of its operation is known by that number's status, unless it is about
        # waiting.
        status = number.status if number and (known or status_of(error) != 503) else status_of(error)
        status = operation.statuses.get(number, status) if operation else status
        headers = {}
        wait = getattr(error, "retry_after", None)
        if wait is not None or status in (429, 503):
            headers["Retry-After"] = str(wait or COME_BACK_AFTER)
        return Refusal(status, {"error_code": number, "message": error.message}, headers, error.code)

    def not_json(self, error: NotJson) -> Refusal:
        return _bad_input([error.place])

    def bad_input(self, error: BadInput) -> Refusal:
        return _bad_input(error.places())


DATA_REFUSALS = DataRefusals()


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's EXCEPTION_HANDLER. A view that has no `refusals` belongs to the interface of the data set."""
    view, request = context["view"], context["request"]
    refusals: Refusals = getattr(view, "refusals", DATA_REFUSALS)
    refused = refusals.of(error, getattr(view, "operation", None), view.allowed_methods)
    if refused is None:
        log.exception("%s %s crashed", request.method, getattr(request.resolver_match, "route", "?"))
        got_request_exception.send(sender=type(view), request=request._request)
        refused = refusals.crash
    return refusals.respond(refused, request)


def _problem(refused: Refusal) -> dict[str, Any]:
    body = refused.body
    errors = body["detail"] if isinstance(body.get("detail"), list) else []
    detail = body.get("message") or body["detail"]
    return {
        "type": f"/docs/#status-{refused.status}",
        "title": refused.code.replace("_", " ").capitalize() or detail,
        "status": refused.status,
        "detail": detail,
        "code": refused.code,
        "error_code": body.get("error_code", Wire.GENERIC_ERROR),
        "errors": errors,
    }


def _bad_input(found: Iterable[dict[str, Any]]) -> Refusal:
    """`error_code` and `message` stand beside the list, so that a client that only knows those can say something."""
    problems = list(islice(found, MOST_PROBLEMS))
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    message = f"{where}: {first['msg']}" if where else first["msg"]
    return Refusal(422, {"detail": problems, "error_code": Wire.GENERIC_ERROR, "message": message}, code="bad_input")


# What DRF calls a problem → what clients of the wire know it as.
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


def places(details: Any, path: tuple[str | int, ...]) -> Iterator[dict[str, Any]]:
    """Each problem with the way to it, from DRF's nested details."""
    if isinstance(details, exceptions.ErrorDetail):
        code = str(details.code)
        kind = _TYPES.get(code) or (code if "." in code else "value_error")
        yield {"loc": list(path), "msg": _short(details, 1000), "type": kind}
    elif isinstance(details, dict):
        for name, inner in details.items():
            yield from places(inner, path if name == "non_field_errors" else (*path, _name(name)))
    elif isinstance(details, list):
        several = any(not isinstance(inner, exceptions.ErrorDetail) for inner in details)
        for place, inner in enumerate(details):
            yield from places(inner, (*path, place) if several else path)


def _name(part: Any) -> str | int:
    """Of a member, or its place in a list."""
    return part if isinstance(part, int) else _short(part)


def _short(text: object, most: int = 100) -> str:
    """Names and values are those of the caller, and as long as they like."""
    return f"{str(text)[:most]}…" if len(str(text)) > most else str(text)
