"""Around every request: a number that finds it in the log, one log line, errors as pages, and the missing slash."""

import re
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.urls import is_valid_path
from django.utils.cache import has_vary_header
from django.utils.http import escape_leading_slashes
from django_prometheus.middleware import PrometheusAfterMiddleware

from oasst.core.errors import Unreadable, as_domain_error, signed_out
from oasst.core.http import error_views, kept_forms
from oasst.core.http.api_paths import ASKED_BY_MACHINES, is_of_the_wires
from oasst.core.http.asgi_handler import Later
from oasst.core.http.requests import wants_json
from oasst.core.redaction import HIDDEN, redact

log = structlog.get_logger(__name__)

GetResponse = Callable[[HttpRequest], Any]
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class _Middleware:
    """Runs in the event loop for async views and in the thread for others: no hop between them on our account."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._call_async(request)
        before = self.before(request)
        if before is not None:
            return before
        return self.after(request, cast(HttpResponseBase, self.get_response(request)))

    async def _call_async(self, request: HttpRequest) -> HttpResponseBase:
        before = self.before(request)
        if before is not None:
            return before
        return self.after(request, await self.get_response(request))

    def before(self, request: HttpRequest) -> HttpResponseBase | None:
        return None

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return response


class RequestLog(_Middleware):
    """The request id, in the log of everything done for this request and in the answer; and one line at the end.

    Paths are written, query strings and bodies never: they hold keys, codes and people's texts. Of a link that was
    mailed the path holds the key too.
    """

    def before(self, request: HttpRequest) -> None:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        request.request_id = request_id  # type: ignore[attr-defined]
        request.started_at = time.perf_counter()  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        if isinstance(response, Later):
            response.when_known.append(partial(self._write, request))
        else:
            self._write(request, response.status_code)
        return response

    def _write(self, request: HttpRequest, status: int) -> None:
        took = time.perf_counter() - request.started_at  # type: ignore[attr-defined]
        # Every few seconds, for ever: the lines of machines would bury the others.
        write = log.debug if request.path in ASKED_BY_MACHINES else log.info
        write(
            "request",
            method=request.method,
            path=_without_key(request),
            status=status,
            ms=round(took * 1000, 1),
            user=_known_user_id(request),
        )


class AnswerMetrics(PrometheusAfterMiddleware):
    """An answer that is waited for is counted when it came, by its own status and time."""

    def label_metric(self, metric: Any, request: HttpRequest, response: Any = None, **labels: Any) -> Any:
        """The library takes any method that somebody invents as a label, and keeps a row of counters for each."""
        if "method" in labels:
            labels["method"] = self._method(request)
        return super().label_metric(metric, request, response, **labels)

    def process_template_response(self, request: HttpRequest, response: Any) -> Any:
        """The answers of DRF are rendered late as pages are, and have no template to count."""
        return response if response.template_name is None else super().process_template_response(request, response)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if isinstance(response, Later):
            count = super().process_response
            response.when_known.append(lambda status: count(request, HttpResponse(status=status)))
            return response
        counted: HttpResponseBase = super().process_response(request, response)
        return counted


class ContentSecurity(_Middleware):
    """The last wall behind escaping and cleaning: a page runs and loads only what we serve, and is framed by nobody."""

    POLICY = "; ".join(
        (
            *("default-src 'self'", "object-src 'none'", "base-uri 'none'"),
            *("form-action 'self'", "frame-ancestors 'none'"),
        )
    )

    @classmethod
    def policy_with_forms_to(cls, origin: str) -> str:
        """For a page whose form is redirected to this other site."""
        return cls.POLICY.replace("form-action 'self'", f"form-action 'self' {origin}")

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        # Django's own error pages, which only developers see, bring their style and script along.
        if not (settings.DEBUG and response.status_code >= 400):
            response.headers.setdefault("Content-Security-Policy", self.POLICY)
        return response


class PrivateCacheControl(_Middleware):
    """What one person or program was answered is kept by no cache, and not shown again after signing out.

    An answer is somebody's when it varies by a cookie that the request had or the answer sets, or when a key or token
    asked for it. Views that say themselves how long an answer may be kept are left alone.
    """

    POLICY = "private, no-store"

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if "Cache-Control" not in response and (self._varies_by_cookie(request, response) or self._has_key(request)):
            response["Cache-Control"] = self.POLICY
        return response

    @staticmethod
    def _varies_by_cookie(request: HttpRequest, response: HttpResponseBase) -> bool:
        return bool(request.COOKIES or response.cookies) and has_vary_header(response, "Cookie")

    @staticmethod
    def _has_key(request: HttpRequest) -> bool:
        asked_with = ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY", "HTTP_X_OASST_USER")
        return any(name in request.META for name in asked_with) or "api_key" in request.GET


class PermissionsPolicy(_Middleware):
    """Pages need no sensors, cameras or payments, and no other site embeds what we serve.

    What pages do use is left out: copying to the clipboard, passkeys, full screen.
    """

    REFUSED = (
        *("accelerometer", "autoplay", "browsing-topics", "camera", "display-capture", "encrypted-media"),
        *("geolocation", "gyroscope", "hid", "idle-detection", "magnetometer", "microphone", "midi", "payment"),
        *("picture-in-picture", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking"),
    )
    POLICY = ", ".join(f"{name}=()" for name in REFUSED)

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response.headers.setdefault("Permissions-Policy", self.POLICY)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response


class RefuseNul(_Middleware):
    """A character that no text may hold (NUL, which the database refuses) stands in no address of ours.

    The wires clean what they are given and answer in their own envelope.
    """

    def before(self, request: HttpRequest) -> HttpResponseBase | None:
        given = request.META.get("QUERY_STRING", "")
        if ("\0" in request.path_info or "%00" in given or "\0" in given) and not is_of_the_wires(request.path_info):
            return error_views.bad_request(request, BadRequest("NUL in the address"))
        return None


class ErrorPages(_Middleware):
    """The error family of the domain, and waiting that took too long, as pages."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        error = as_domain_error(exception)
        if error is None or isinstance(error, Unreadable):  # Django logs those by itself and calls `bad_request`
            return None
        if error is not exception:
            log.warning("busy", code=error.code)
        return error_views.answer(request, error)


class FormAddresses(_Middleware):
    """Addresses that only take forms are no dead end for somebody who comes there as to a page.

    "405 Method Not Allowed", and every other refusal, gets words where it came with none.
    """

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if is_of_the_wires(request.path_info):
            return response
        if response.status_code >= 400 and not getattr(response, "content", b"-"):
            answer = error_views.without_words(request, response.status_code)
            for name in ("Allow", "Retry-After"):
                if name in response:
                    answer[name] = response[name]
            return answer
        return response


class SignInFirst(_Middleware):
    """What whoever is not signed in hears of a page that asks for it.

    A script hears a code, never a page. Of a form the words are kept, and after signing in one goes on at the page that
    it stood on: no form is sent again by itself, and its address shows nothing.
    """

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not self._leads_to_the_door(request, response):
            return response
        if wants_json(request):
            return error_views.answer(request, signed_out())
        if request.method not in ("GET", "HEAD"):
            if kept_forms.keep(request):
                said = "What you wrote is kept for an hour. Sign in as before, and it stands in its form again."
                messages.info(request, said)
            query = urlencode({REDIRECT_FIELD_NAME: kept_forms.page_of_form(request)})
            response["Location"] = urlsplit(response["Location"])._replace(query=query).geturl()
        return response

    @staticmethod
    def _leads_to_the_door(request: HttpRequest, response: HttpResponseBase) -> bool:
        """As `login_required` does it: with the address that was asked for as what comes next."""
        if response.status_code != 302:
            return False
        target = urlsplit(response["Location"])
        then = QueryDict(target.query).get(REDIRECT_FIELD_NAME, "")
        return target.path == settings.LOGIN_URL and urlsplit(then).path == request.path


class MissingSlash(_Middleware):
    """Send readers of `/terms` to `/terms/`. The wires have both forms and are left alone."""

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.status_code != 404 or request.method not in ("GET", "HEAD"):
            return response
        path = request.path_info
        if path.endswith("/") or is_of_the_wires(path):
            return response
        urlconf = getattr(request, "urlconf", settings.ROOT_URLCONF)
        if is_valid_path(path, urlconf) or not is_valid_path(f"{path}/", urlconf):
            return response
        return HttpResponsePermanentRedirect(escape_leading_slashes(request.get_full_path(force_append_slash=True)))


def _without_key(request: HttpRequest) -> str:
    """Of a refused address nobody knows which part is a key, so it is told by its form."""
    if request.resolver_match is None:
        return redact(request.path)
    path = request.path
    for name in ("key", "token", "code"):
        if key := request.resolver_match.kwargs.get(name):
            path = path.replace(str(key), HIDDEN)
    return path


def _known_user_id(request: HttpRequest) -> str | None:
    """Whoever the request turned out to be from; nobody is looked up for the sake of a log line."""
    user = getattr(request, "_cached_user", None)
    return str(user.pk) if user is not None and user.pk else None
