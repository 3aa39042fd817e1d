"""Reads that are not sent again to a caller who has them, and links to the pages beside."""

import hashlib
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.utils.http import parse_etags
from rest_framework.response import Response


def make_conditional(response: Response, request: HttpRequest) -> None:
    """Give the answer an ETag; 304 without a body where the caller names it."""
    # Who asks and who looks decide what is shown, so no cache may give one's answer to another.
    response["Cache-Control"] = "private, no-cache"
    # Weak, because the same answer may be sent compressed.
    etag = response["ETag"] = f'W/"{hashlib.blake2b(response.content, digest_size=16).hexdigest()}"'
    known = parse_etags(request.headers.get("If-None-Match", ""))
    if known == ["*"] or etag.removeprefix("W/") in (one.removeprefix("W/") for one in known):
        response.status_code, response.content = 304, b""


def links_beside(page: dict[str, Any], request: HttpRequest) -> str:
    """The header Link (RFC 8288) to the pages before and after this one; empty where there is none."""
    kept = [(name, value) for name, value in request.GET.items() if name not in ("before", "after")]
    sides = (("prev", "before"), ("next", "after"))
    found = [(rel, urlencode([*kept, (side, page[rel])])) for rel, side in sides if page[rel] is not None]
    return ", ".join(f'<?{query}>; rel="{rel}"' for rel, query in found)
