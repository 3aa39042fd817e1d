"""Pages of other sites, and what they may do from a browser. Never with a cookie.

Of the data set (CORS_ORIGINS) they read: with GET. Whoever may write there needs a key, and a key that a page holds is
everybody's. The chat (CHAT_CORS_ORIGINS) they may use as a whole, since that takes the token of the person who sits
before the page.
"""

from collections.abc import Collection

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.deprecation import MiddlewareMixin

from oasst.core.http.api_paths import is_of_the_chat

_HEADERS = "Authorization, Content-Type, If-None-Match, X-API-Key, X-OASST-USER"
_SHOWN = "ETag, Link, Retry-After, X-Request-ID"
_KEPT = 600  # seconds for which a browser need not ask again


_CHAT_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
_CHAT_HEADERS = frozenset(
    {
        *("accept", "authorization", "content-type", "last-event-id", "refresh", "x-request-id"),
        *("user-agent", "http-referer", "x-title", "x-requested-with", "idempotency-key"),
    }
)
# The libraries of OpenAI tell about themselves. Keys of programs (X-API-Key, TrustedClient) do not belong into a page.
_CHAT_PREFIXES = ("x-stainless-", "openai-")
_CHAT_SHOWN = "Retry-After, X-Ignored-Parameters, X-Request-ID"


def is_allowed(request: HttpRequest) -> bool:
    """Whether the request names the page's site, and that site may read the data set."""
    return not is_of_the_chat(request.path_info) and _is_among(settings.CORS_ORIGINS, request)


def _is_among(origins: Collection[str], request: HttpRequest) -> bool:
    origin = request.headers.get("Origin", "")
    return bool(origin) and ("*" in origins or origin in origins)


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
    """Let the browser show the answer to the page, where it may. A cache has to know that others get it otherwise."""
    if not settings.CORS_ORIGINS or is_of_the_chat(request.path_info):
        return
    patch_vary_headers(response, ["Origin"])
    if is_allowed(request):
        response["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response["Access-Control-Expose-Headers"] = _SHOWN


class ChatPages(MiddlewareMixin):
    """Around everything below /v1 and /inference, so that a page sees refusals and errors as well as answers."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        """Answers the browser that asks before it sends. A page that may not chat is answered as by default."""
        wanted = request.headers.get("Access-Control-Request-Method")
        if request.method != "OPTIONS" or wanted not in _CHAT_METHODS or not _may_chat(request):
            return None
        asked = request.headers.get("Access-Control-Request-Headers", "").lower().split(",")
        response = HttpResponse(status=204, content_type="application/json")
        response["Access-Control-Allow-Methods"] = ", ".join(_CHAT_METHODS)
        response["Access-Control-Allow-Headers"] = ", ".join(filter(_is_for_chat, map(str.strip, asked)))
        response["Access-Control-Max-Age"] = str(_KEPT)
        patch_vary_headers(response, ["Access-Control-Request-Headers"])
        return response

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if settings.CHAT_CORS_ORIGINS and is_of_the_chat(request.path_info):
            patch_vary_headers(response, ["Origin"])
            if _may_chat(request):
                response["Access-Control-Allow-Origin"] = request.headers["Origin"]
                response["Access-Control-Expose-Headers"] = _CHAT_SHOWN
        return response


def _may_chat(request: HttpRequest) -> bool:
    return is_of_the_chat(request.path_info) and _is_among(settings.CHAT_CORS_ORIGINS, request)


def _is_for_chat(header: str) -> bool:
    return header in _CHAT_HEADERS or header.startswith(_CHAT_PREFIXES)
