"""Middleware for every request: request id, log line, security headers, error pages, sign-in, and missing slash."""

import re
import time
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import structlog
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.urls import is_valid_path
from django.utils.cache import has_vary_header
from django.utils.deprecation import MiddlewareMixin
from django.utils.http import escape_leading_slashes
from django_prometheus.middleware import PrometheusAfterMiddleware

from oasst.core.errors import Unreadable, as_domain_error, signed_out_error
from oasst.core.http import error_views, kept_forms
from oasst.core.http.api_paths import MONITORING_PATHS, is_api_path
from oasst.core.http.asgi_handler import DeferredResponse
from oasst.core.http.origin import request_address
from oasst.core.http.requests import client_address, wants_json
from oasst.core.redaction import HIDDEN, redact

log = structlog.get_logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestLog(MiddlewareMixin):
    """Set the request id, for all log lines of the request and for the response, and log one line at the end.

    Never log query strings and bodies: they contain keys, codes and people's texts. Keys in paths, as in links from
    mails, are removed.
    """

    def process_request(self, request: HttpRequest) -> None:
        sent_id = request.headers.get("X-Request-ID", "")
        request_id = sent_id if _REQUEST_ID.fullmatch(sent_id) else uuid4().hex
        request.request_id = request_id  # type: ignore[attr-defined]
        request.started_at = time.perf_counter()  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        request_address.set(client_address(request))

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        if isinstance(response, DeferredResponse):
            response.status_callbacks.append(partial(self._write, request))
        else:
            self._write(request, response.status_code)
        return response

    def _write(self, request: HttpRequest, status: int) -> None:
        took = time.perf_counter() - request.started_at  # type: ignore[attr-defined]
        # Monitoring asks every few seconds, which would bury the other lines.
        write = log.debug if request.path in MONITORING_PATHS else log.info
        write(
            "request",
            method=request.method,
            path=_without_key(request),
            status=status,
            ms=round(took * 1000, 1),
            user=_known_user_id(request),
        )


class ResponseMetrics(PrometheusAfterMiddleware):
    """Count deferred responses with their final status and time."""

    def label_metric(self, metric: Any, request: HttpRequest, response: Any = None, **labels: Any) -> Any:
        """Replace unknown methods, because the library would keep a row of counters for each invented one."""
        if "method" in labels:
            labels["method"] = self._method(request)
        return super().label_metric(metric, request, response, **labels)

    def process_template_response(self, request: HttpRequest, response: Any) -> Any:
        """Skip responses of DRF, which have no template to count."""
        return response if response.template_name is None else super().process_template_response(request, response)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if isinstance(response, DeferredResponse):
            count = super().process_response
            response.status_callbacks.append(lambda status: count(request, HttpResponse(status=status)))
            return response
        counted: HttpResponseBase = super().process_response(request, response)
        return counted


class ContentSecurityPolicy(MiddlewareMixin):
    """Allow pages to load only our own files, and nobody to frame them: the last defense behind escaping."""

    POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

    @classmethod
    def policy_with_forms_to(cls, origin: str) -> str:
        """Return the policy for a page whose form redirects to another site."""
        return cls.POLICY.replace("form-action 'self'", f"form-action 'self' {origin}")

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        # Django's error pages for developers have inline styles and scripts.
        if not (settings.DEBUG and response.status_code >= 400):
            response.headers.setdefault("Content-Security-Policy", self.POLICY)
        return response


class PrivateCacheControl(MiddlewareMixin):
    """Keep private responses out of caches, and out of the browser after signing out.

    A response is private if it varies by a cookie of the request or response, or if the request has a key or token.
    A Cache-Control header of the view takes precedence.
    """

    POLICY = "private, no-store"

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if "Cache-Control" not in response and (self._varies_by_cookie(request, response) or self._has_key(request)):
            response["Cache-Control"] = self.POLICY
        return response

    @staticmethod
    def _varies_by_cookie(request: HttpRequest, response: HttpResponseBase) -> bool:
        return bool(request.COOKIES or response.cookies) and has_vary_header(response, "Cookie")

    @staticmethod
    def _has_key(request: HttpRequest) -> bool:
        headers = ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY", "HTTP_X_OASST_USER")
        return any(name in request.META for name in headers) or "api_key" in request.GET


class PermissionsPolicy(MiddlewareMixin):
    """Forbid browser features that our pages do not use, and embedding by other sites.

    Pages do use the clipboard, passkeys and full screen.
    """

    REFUSED = (
        *("accelerometer", "autoplay", "browsing-topics", "camera", "display-capture", "encrypted-media"),
        *("geolocation", "gyroscope", "hid", "idle-detection", "magnetometer", "microphone", "midi", "payment"),
        *("picture-in-picture", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking"),
    )
    POLICY = ", ".join(f"{name}=()" for name in REFUSED)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response.headers.setdefault("Permissions-Policy", self.POLICY)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response


class RefuseNullCharacters(MiddlewareMixin):
    """Refuse URLs with NUL, which the database does not accept. The APIs refuse it in their own envelope."""

    def process_request(self, request: HttpRequest) -> HttpResponseBase | None:
        query = request.META.get("QUERY_STRING", "")
        if ("\0" in request.path_info or "%00" in query or "\0" in query) and not is_api_path(request.path_info):
            return error_views.bad_request(request, BadRequest("NUL in the address"))
        return None


class ErrorPages(MiddlewareMixin):
    """Turn domain errors and database timeouts into pages."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        error = as_domain_error(exception)
        if error is None or isinstance(error, Unreadable):  # Django logs it and calls `bad_request`
            return None
        if error is not exception:
            log.warning("busy", code=error.code)
        return error_views.error_response(request, error)


class PagesForEmptyErrors(MiddlewareMixin):
    """Give a page to error responses without a body, above all to 405 at a URL that only accepts forms."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if is_api_path(request.path_info):
            return response
        if response.status_code >= 400 and not getattr(response, "content", b"-"):
            page = error_views.empty_error(request, response.status_code)
            for name in ("Allow", "Retry-After"):
                if name in response:
                    page[name] = response[name]
            return page
        return response


class LoginRedirects(MiddlewareMixin):
    """Change the redirect of `login_required` for scripts, which get a code, and for forms.

    A sent form is kept, and after sign-in the user continues on the page with the form: it is not sent again
    automatically, and its own URL may not be a page.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not self._is_login_redirect(request, response):
            return response
        if wants_json(request):
            return error_views.error_response(request, signed_out_error())
        if request.method not in ("GET", "HEAD"):
            if kept_forms.keep(request):
                text = "What you wrote is kept for an hour. Sign in as before, and it stands in its form again."
                messages.info(request, text)
            query = urlencode({REDIRECT_FIELD_NAME: kept_forms.form_page(request)})
            response["Location"] = urlsplit(response["Location"])._replace(query=query).geturl()
        return response

    @staticmethod
    def _is_login_redirect(request: HttpRequest, response: HttpResponseBase) -> bool:
        """Return True for a redirect of `login_required`, whose `next` is the path of the request."""
        if response.status_code != 302:
            return False
        target = urlsplit(response["Location"])
        next_url = QueryDict(target.query).get(REDIRECT_FIELD_NAME, "")
        return target.path == settings.LOGIN_URL and urlsplit(next_url).path == request.path


class MissingSlash(MiddlewareMixin):
    """Redirect `/terms` to `/terms/`, but not in the APIs, which accept both."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.status_code != 404 or request.method not in ("GET", "HEAD"):
            return response
        path = request.path_info
        if path.endswith("/") or is_api_path(path):
            return response
        urlconf = getattr(request, "urlconf", settings.ROOT_URLCONF)
        if is_valid_path(path, urlconf) or not is_valid_path(f"{path}/", urlconf):
            return response
        return HttpResponsePermanentRedirect(escape_leading_slashes(request.get_full_path(force_append_slash=True)))


def _without_key(request: HttpRequest) -> str:
    """Return the path without keys. In an unknown path they can only be recognized by their form."""
    if request.resolver_match is None:
        return redact(request.path)
    path = request.path
    for name in ("key", "token", "code"):
        if key := request.resolver_match.kwargs.get(name):
            path = path.replace(str(key), HIDDEN)
    return path


def _known_user_id(request: HttpRequest) -> str | None:
    """Return the user's id if the request already loaded the user, without a query."""
    user = getattr(request, "_cached_user", None)
    return str(user.pk) if user is not None and user.pk else None
