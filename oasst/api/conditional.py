"""ETags for GET responses, and Link headers for pagination."""

import hashlib
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.utils.http import parse_etags
from rest_framework.response import Response


def make_conditional(response: Response, request: HttpRequest) -> None:
    """Add an ETag, and turn the response into a 304 if the client already has it."""
    # The content depends on API client and user, so shared caches may not store it.
    response["Cache-Control"] = "private, no-cache"
    # Weak, because the response may also be sent compressed.
    etag = response["ETag"] = f'W/"{hashlib.blake2b(response.content, digest_size=16).hexdigest()}"'
    cached = parse_etags(request.headers.get("If-None-Match", ""))
    if cached == ["*"] or etag.removeprefix("W/") in (value.removeprefix("W/") for value in cached):
        response.status_code, response.content = 304, b""


def pagination_links(page: dict[str, Any], request: HttpRequest) -> str:
    """Return the Link header (RFC 8288) to the previous and next page, or "" if there is none."""
    query = [(name, value) for name, value in request.GET.items() if name not in ("before", "after")]
    links = (("prev", "before"), ("next", "after"))
    queries = [(rel, urlencode([*query, (name, page[rel])])) for rel, name in links if page[rel] is not None]
    return ", ".join(f'<?{encoded}>; rel="{rel}"' for rel, encoded in queries)
