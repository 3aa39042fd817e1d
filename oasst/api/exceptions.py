"""Every refusal of the API in one shape: `{"error_code": int, "message": str}`, and a list of places for bad input.

The numbers are the wire's. An app registers those of its own error codes (`register_codes`); what nobody registered
has a general number, so that a client with a fixed table of numbers is never surprised.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404
from psycopg_pool import PoolTimeout
from rest_framework import exceptions, status
from rest_framework.response import Response

from oasst.core import metrics
from oasst.core.error_views import status_of
from oasst.core.errors import Busy, DomainError
from oasst.core.locks import as_busy

# For what has no number of its own: by status.
_GENERAL = {400: 400, 403: 403, 404: 404, 429: 429, 503: 503}
_UNKNOWN = 0
_codes: dict[str, int] = {}


def register_codes(codes: Mapping[str, int]) -> None:
    """Give error codes of the domain their numbers on the wire. Two numbers for one code are a mistake."""
    for code, number in codes.items():
        if _codes.setdefault(code, number) != number:
            raise ValueError(f"{code} already has the number {_codes[code]}")


def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's EXCEPTION_HANDLER. What is not understood here is a bug and becomes the JSON of a 500 further out."""
    if isinstance(exc, OperationalError | PoolTimeout):
        busy = as_busy(exc)
        if busy is None:
            return None
        exc = busy
    if isinstance(exc, DomainError):
        return _domain_error(exc)
    if isinstance(exc, exceptions.ParseError):
        return _bad_input([{"loc": ["body"], "msg": "this is not JSON", "type": "value_error.jsondecode"}])
    if isinstance(exc, exceptions.ValidationError):
        return _bad_input(list(_places(exc.get_full_details(), ("body",))))
    if isinstance(exc, Http404):
        return Response({"detail": "Not Found"}, status=status.HTTP_404_NOT_FOUND)
    if isinstance(exc, PermissionDenied):
        return Response({"detail": "Forbidden"}, status=status.HTTP_403_FORBIDDEN)
    if isinstance(exc, exceptions.APIException):
        allow = {"Allow": ", ".join(context["view"].allowed_methods)} if exc.status_code == 405 else None
        return Response({"detail": str(exc.detail)}, status=exc.status_code, headers=allow)
    return None


def _domain_error(error: DomainError) -> Response:
    metrics.domain_errors.labels(edge="api", code=error.code).inc()
    code = status_of(error)
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, Busy) else None
    number = _codes.get(error.code, _GENERAL.get(code, _UNKNOWN))
    return Response({"error_code": number, "message": error.message}, status=code, headers=headers)


def _bad_input(places: list[dict[str, Any]]) -> Response:
    """`error_code` and `message` stand beside the list, so that a client that only knows those can say something."""
    first = places[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return Response(
        {
            "detail": places,
            "error_code": _UNKNOWN,
            "message": f"{where}: {first['msg']}" if where else first["msg"],
        },
        status=status.HTTP_422_UNPROCESSABLE_ENTITY,
    )


def _places(details: Any, path: tuple[str | int, ...]) -> Iterator[dict[str, Any]]:
    """Each problem with the way to it, from DRF's nested details."""
    if isinstance(details, dict) and set(details) == {"message", "code"} and isinstance(details["code"], str):
        kind = "value_error.missing" if details["code"] == "required" else f"value_error.{details['code']}"
        yield {"loc": list(path), "msg": str(details["message"]), "type": kind}
    elif isinstance(details, dict):
        for name, inner in details.items():
            yield from _places(inner, path if name == "non_field_errors" else (*path, name))
    elif isinstance(details, list):
        several = any(not (isinstance(inner, dict) and "message" in inner) for inner in details)
        for place, inner in enumerate(details):
            yield from _places(inner, (*path, place) if several else path)
