"""Answers as bytes: compact JSON, what has not changed since the caller last saw it, links to the pages beside."""

import hashlib
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import parse_etags

from oasst.api.codes import Wire
from oasst.api.exceptions import Refusal
from oasst.api.operations import Operation
from oasst.api.streams import stream
from oasst.api.wire_json import dump

JSON = "application/json"
PROBLEM = "application/problem+json"


def answer(data: Any, operation: Operation, request: HttpRequest) -> HttpResponseBase:
    """What an operation gave. Reads have an ETag and are not sent again to a caller that names it."""
    if operation.media != JSON:
        return stream(data, operation.media, request)
    response = as_json(data, operation.status)
    if operation.method != "GET":
        return response
    # Who asks and who looks decide what is shown, so no cache may give one's answer to another.
    response["Cache-Control"] = "private, no-cache"
    # Weak, because the same answer may be sent compressed.
    etag = response["ETag"] = f'W/"{hashlib.blake2b(response.content, digest_size=16).hexdigest()}"'
    if links := _links(data, operation, request):
        response["Link"] = links
    known = parse_etags(request.headers.get("If-None-Match", ""))
    if known == ["*"] or etag.removeprefix("W/") in (one.removeprefix("W/") for one in known):
        response.status_code, response.content = 304, b""
    return response


def _links(data: Any, operation: Operation, request: HttpRequest) -> str:
    """RFC 8288, for the pages before and after this one."""
    if not operation.by_cursor:
        return ""
    kept = [(name, value) for name, value in request.GET.items() if name not in ("before", "after")]
    sides = (("prev", "before"), ("next", "after"))
    found = [(rel, urlencode([*kept, (side, data[rel])])) for rel, side in sides if data[rel] is not None]
    return ", ".join(f'<?{query}>; rel="{rel}"' for rel, query in found)


def refuse(refused: Refusal, request: HttpRequest) -> HttpResponse:
    """The refusal in the envelope of the wire, or as RFC 9457 has it where the caller asks for that."""
    if PROBLEM in request.headers.get("Accept", ""):
        response = as_json(_problem(refused), refused.status, PROBLEM)
    else:
        response = as_json(refused.body, refused.status)
    # Refusals are everyday: the line of the request says it, Django need not warn of each once more.
    response._has_been_logged = True  # type: ignore[attr-defined]
    for name, value in refused.headers.items():
        response[name] = value
    return response


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


def as_json(data: Any, status: int, content_type: str = JSON) -> HttpResponse:
    """Compact JSON in UTF-8. A 204 has the same content type and no body."""
    text = "" if status == 204 else dump(data)
    return HttpResponse(text.encode(errors="replace"), status=status, content_type=content_type)
