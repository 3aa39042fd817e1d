"""Every refusal of the API in one shape: `{"error_code": int, "message": str}`, and a list of places for bad input.

`refusal` is the one translator from the error family to the wire. What it does not understand is a bug.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from oasst.api.codes import Wire, number_of
from oasst.core import metrics
from oasst.core.errors import DomainError, Unreadable, as_domain_error
from oasst.core.http.error_views import status_of

MOST_PROBLEMS = 100
"""So many problems of one body are told: an answer must not be many times what was sent."""
# 429 and 503 always say when to come back, also where nobody knows better than "a little later".
_COME_BACK_AFTER = 30


@dataclass(frozen=True)
class Refusal:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    code: str = ""  # of the domain, for those who ask for RFC 9457


_UNREADABLE = {
    "too_large": Refusal(
        413, {"detail": "Request Entity Too Large", "error_code": 0, "message": "The body is too large."}
    ),
    "bad_request": Refusal(400, {"detail": "Bad Request"}),
}


def refusal(
    error: Exception, fallback: Wire = Wire.GENERIC_ERROR, statuses: Mapping[Wire, int] | None = None
) -> Refusal | None:
    """The answer to an error, None for a bug.

    An operation may have a `fallback`, which numbers refusals of the domain without a number of their own, and
    `statuses` that depart from the usual ones.
    """
    refused = as_domain_error(error)
    if refused is not None:
        if isinstance(refused, Unreadable):
            return _UNREADABLE[refused.code]
        return _of_the_domain(refused, fallback, statuses or {})
    if isinstance(error, exceptions.ParseError):
        return bad_input([{"loc": ["body"], "msg": "this is not JSON", "type": "value_error.jsondecode"}])
    if isinstance(error, exceptions.ValidationError):
        return bad_input(places(error.detail, ("body",)))
    if isinstance(error, Http404):
        return Refusal(404, {"detail": "Not Found"})
    if isinstance(error, PermissionDenied):
        return Refusal(403, {"detail": str(error) or "Forbidden"})
    return None


def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's EXCEPTION_HANDLER, for views that are not operations of the wire."""
    found = refusal(exc)
    if found is None and isinstance(exc, exceptions.APIException):
        allow = {"Allow": ", ".join(context["view"].allowed_methods)} if exc.status_code == 405 else {}
        found = Refusal(exc.status_code, {"detail": str(exc.detail)}, allow)
    return Response(found.body, status=found.status, headers=found.headers) if found else None


def _of_the_domain(error: DomainError, fallback: Wire, statuses: Mapping[Wire, int]) -> Refusal:
    metrics.domain_errors.labels(edge="api", code=error.code).inc()
    known = number_of(error.code)
    number = fallback if known is None else known
    # A refusal that only has the number of its operation is known by that number's status, unless it is about waiting.
    status = number.status if number and (known or status_of(error) != 503) else status_of(error)
    status = statuses.get(number, status)
    headers = {}
    wait = getattr(error, "retry_after", None)
    if wait is not None or status in (429, 503):
        headers["Retry-After"] = str(wait or _COME_BACK_AFTER)
    return Refusal(status, {"error_code": number, "message": error.message}, headers, error.code)


def bad_input(found: Iterable[dict[str, Any]]) -> Refusal:
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
