"""Pages of other sites that may read the API (CORS_ORIGINS): with GET, and never with a cookie.

Whoever may write needs a key, and a key that a page holds is everybody's. So only reading is opened.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

_HEADERS = "Authorization, Content-Type, If-None-Match, X-API-Key, X-OASST-USER"
_SHOWN = "ETag, Link, Retry-After, X-Request-ID"
_KEPT = 600  # seconds for which a browser need not ask again


def is_allowed(request: HttpRequest) -> bool:
    """Whether the request names the page's site, and that site may."""
    origin = request.headers.get("Origin", "")
    return bool(origin) and ("*" in settings.CORS_ORIGINS or origin in settings.CORS_ORIGINS)


def may_read(request: HttpRequest) -> bool:
    """A page of another site, and it may."""
    return request.method == "GET" and is_allowed(request)


def preflight(request: HttpRequest) -> HttpResponse | None:
    """The answer to a browser that asks before it sends; None where it does not or may not."""
    wanted = request.headers.get("Access-Control-Request-Method")
    if request.method != "OPTIONS" or wanted != "GET" or not is_allowed(request):
        return None
    response = HttpResponse(status=204, content_type="application/json")
    response["Access-Control-Allow-Methods"] = "GET"
    response["Access-Control-Allow-Headers"] = _HEADERS
    response["Access-Control-Max-Age"] = str(_KEPT)
    mark(request, response)
    return response


def mark(request: HttpRequest, response: HttpResponseBase) -> None:
    """Let the browser show the answer to the page."""
    response["Access-Control-Allow-Origin"] = request.headers["Origin"]
    response["Access-Control-Expose-Headers"] = _SHOWN
    response["Vary"] = "Origin"
