"""CORS: what pages of other sites may do from a browser, always without cookies.

In the data API (CORS_ORIGINS) they may only read, with GET: writing needs a key, and a key in a page is public. They
may use the whole chat API (CHAT_CORS_ORIGINS), because it takes the user's own token.
"""

from collections.abc import Collection

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.deprecation import MiddlewareMixin

from oasst.core.http.api_paths import is_chat_path

_HEADERS = "Authorization, Content-Type, If-None-Match, X-API-Key, X-OASST-USER"
_EXPOSED = "ETag, Link, Retry-After, X-Request-ID"
_MAX_AGE = 600  # seconds for which a browser need not ask again
_CHAT_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
_CHAT_HEADERS = frozenset(
    {
        *("accept", "authorization", "content-type", "last-event-id", "refresh", "x-request-id"),
        *("user-agent", "http-referer", "x-title", "x-requested-with", "idempotency-key"),
    }
)
# OpenAI's libraries send these. Keys of API clients (X-API-Key, TrustedClient) do not belong in a page.
_CHAT_PREFIXES = ("x-stainless-", "openai-")
_CHAT_EXPOSED = "Retry-After, X-Ignored-Parameters, X-Request-ID"


def is_allowed(request: HttpRequest) -> bool:
    """Return True if the site of the page may read the data API."""
    return not is_chat_path(request.path_info) and _is_among(settings.CORS_ORIGINS, request)


def _is_among(origins: Collection[str], request: HttpRequest) -> bool:
    origin = request.headers.get("Origin", "")
    return bool(origin) and ("*" in origins or origin in origins)


def may_read_data(request: HttpRequest) -> bool:
    """Return True for a GET from a page of a site that may read the data API."""
    return request.method == "GET" and is_allowed(request)


def preflight(request: HttpRequest) -> HttpResponse | None:
    """Return the response to a preflight request, or None if it is not a preflight or not allowed."""
    method = request.headers.get("Access-Control-Request-Method")
    if request.method != "OPTIONS" or method != "GET" or not is_allowed(request):
        return None
    response = HttpResponse(status=204, content_type="application/json")
    response["Access-Control-Allow-Methods"] = "GET"
    response["Access-Control-Allow-Headers"] = _HEADERS
    response["Access-Control-Max-Age"] = str(_MAX_AGE)
    add_headers(request, response)
    return response


def add_headers(request: HttpRequest, response: HttpResponseBase) -> None:
    """Add CORS headers to a response of the data API, and Vary for caches."""
    if not settings.CORS_ORIGINS or is_chat_path(request.path_info):
        return
    patch_vary_headers(response, ["Origin"])
    if is_allowed(request):
        response["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response["Access-Control-Expose-Headers"] = _EXPOSED


class ChatCors(MiddlewareMixin):
    """CORS for /v1 and /inference. A middleware, so that pages also see the errors of other layers."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        """Respond to a preflight request of a page that may chat."""
        method = request.headers.get("Access-Control-Request-Method")
        if request.method != "OPTIONS" or method not in _CHAT_METHODS or not _may_chat(request):
            return None
        requested = request.headers.get("Access-Control-Request-Headers", "").lower().split(",")
        response = HttpResponse(status=204, content_type="application/json")
        response["Access-Control-Allow-Methods"] = ", ".join(_CHAT_METHODS)
        response["Access-Control-Allow-Headers"] = ", ".join(filter(_is_for_chat, map(str.strip, requested)))
        response["Access-Control-Max-Age"] = str(_MAX_AGE)
        patch_vary_headers(response, ["Access-Control-Request-Headers"])
        return response

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if settings.CHAT_CORS_ORIGINS and is_chat_path(request.path_info):
            patch_vary_headers(response, ["Origin"])
            if _may_chat(request):
                response["Access-Control-Allow-Origin"] = request.headers["Origin"]
                response["Access-Control-Expose-Headers"] = _CHAT_EXPOSED
        return response


def _may_chat(request: HttpRequest) -> bool:
    return is_chat_path(request.path_info) and _is_among(settings.CHAT_CORS_ORIGINS, request)


def _is_for_chat(header: str) -> bool:
    return header in _CHAT_HEADERS or header.startswith(_CHAT_PREFIXES)
