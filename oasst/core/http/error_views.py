"""Error pages that say what happened and what to do.

`error_response` turns domain errors into pages, fragments and JSON; the views below it are Django's error handlers.
The pages for 500 and 503 must work without the database and Redis.
"""

import sys
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import structlog
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template import loader
from django.utils import timezone
from django.utils.html import escape
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from oasst.core import metrics
from oasst.core.errors import (
    Busy,
    Conflict,
    DomainError,
    Gone,
    Invalid,
    NotAllowed,
    NotFound,
    Unreadable,
    as_domain_error,
    signed_out_error,
)
from oasst.core.http import kept_forms
from oasst.core.http.api_paths import is_api_path, is_openai_path
from oasst.core.http.fault_reports import fault_report_url
from oasst.core.http.requests import is_fragment_request, previous_page, wants_json

log = structlog.get_logger(__name__)

_STATUS: tuple[tuple[type[DomainError], int], ...] = (
    (Invalid, 400),
    (NotAllowed, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Gone, 410),
    (Busy, 503),
    (Unreadable, 400),
)
_STATUS_BY_CODE = {"rate_limited": 429, "signed_out": 401, "too_large": 413}
# Statuses that use the page of another one.
_PAGE_STATUS = {401: 403, 405: 400, 409: 400, 410: 400, 413: 400}
_TITLES = {
    400: gettext_lazy("That did not work"),
    401: gettext_lazy("Please sign in first"),
    403: gettext_lazy("This is not open to you"),
    404: gettext_lazy("There is nothing here"),
    405: gettext_lazy("That is not done at this address"),
    409: gettext_lazy("Something changed meanwhile"),
    410: gettext_lazy("This is over"),
    413: gettext_lazy("This is too much at once"),
    429: gettext_lazy("That was a little fast"),
    500: gettext_lazy("Something broke on our side"),
    503: gettext_lazy("Back in a moment"),
}
_BACK_HINT = gettext_lazy("If you had typed something, the Back button of your browser leads to it.")
_WHAT_TO_DO = {
    400: (gettext_lazy("Go back, correct what is named above, and send it again."),),
    401: (gettext_lazy("Sign in, then try again."),),
    403: (
        gettext_lazy("Sign in with another account, if you have one that may."),
        gettext_lazy("Ask a moderator if you think you should."),
    ),
    404: (gettext_lazy("Check the address for typing errors."), gettext_lazy("Go back, or begin at the start page.")),
    405: (gettext_lazy("Go back to the page that led you here, or begin at the start page."),),
    409: (gettext_lazy("Reload the page to see how things stand now."),),
    410: (gettext_lazy("Go back to the dashboard and take something new. Drafts are kept."),),
    413: (gettext_lazy("Send it in smaller parts."), _BACK_HINT),
    429: (gettext_lazy("Wait as long as it says above, then try again."), _BACK_HINT),
    500: (gettext_lazy("Try again in a minute."), gettext_lazy("If it happens again, tell us the number below.")),
    503: (gettext_lazy("Try again in a moment."), _BACK_HINT),
}
_MIN_CLOCK_SECONDS = 90
"""Waits from here on are shown as a time of day."""
# Rendered without the request, because its session and user need the database.
_STANDALONE = (500, 503)


@dataclass(frozen=True)
class ErrorPage:
    """What an error page says."""

    status: int
    code: str
    message: str
    field: str | None = None
    hint: str = ""
    retry_after: int | None = None
    title: str = ""  # instead of the title of the status
    page: str = ""  # where to continue
    typed: tuple[str, ...] = ()  # the texts in the refused form


def status_of(error: DomainError) -> int:
    default = next((status for kind, status in _STATUS if isinstance(error, kind)), 400)
    return _STATUS_BY_CODE.get(error.code, default)


def error_response(request: HttpRequest, error: DomainError, *, keep_form: bool = False) -> HttpResponse:
    """Return the error as a page, a fragment or JSON, as the request accepts.

    With `keep_form`, for refusals before the view: the form that was sent is kept, and the page shows its texts.
    """
    metrics.domain_errors.labels(edge="page", code=error.code).inc()
    wait = error.retry_after if isinstance(error, Busy) else None
    problem = ErrorPage(status_of(error), error.code, error.message, error.field, error.hint, wait)
    return _respond(request, _with_kept_form(request, problem) if keep_form else problem)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    error = as_domain_error(exception)
    if error and error.code == "too_large":
        message = _("More was sent than the site takes at once. Nothing was stored.")
        return _respond(request, ErrorPage(413, "too_large", message))
    message = _("Something in the request was missing or garbled.")
    hint = _("Check the address for typing errors, or go back, reload the page and send it again.")
    return _respond(request, ErrorPage(400, "bad_request", message, hint=hint))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _respond(request, ErrorPage(403, "not_allowed", _("You are not allowed to see or do this.")))


def page_not_found(request: HttpRequest, exception: Http404) -> HttpResponse:
    return _respond(request, ErrorPage(404, "not_found", _("The page may have moved, been removed, or never existed.")))


def empty_error(request: HttpRequest, status: int) -> HttpResponse:
    """Return a page for an error response without a body."""
    if status == 405:
        return method_not_allowed(request)
    known = {item.value: item for item in HTTPStatus}.get(status)
    title = str(_TITLES.get(status, "")) or (known.phrase if known else _("That did not work"))
    message = known.description if known and known.description else _("The request could not be answered")
    return _respond(request, ErrorPage(status, "refused", f"{message}.", title=title))


def method_not_allowed(request: HttpRequest) -> HttpResponse:
    """Explain 405, which nearly always means that somebody opened the URL of a form as a page."""
    if request.method in ("GET", "HEAD"):
        title = _("This address only takes forms")
        message = _("It belongs to a button on a page, and shows nothing itself.")
    else:
        title, message = _("This address takes no forms"), _("It is a page to read. Nothing was changed.")
    return _respond(request, ErrorPage(405, "method_not_allowed", message, title=title))


def server_error(request: HttpRequest) -> HttpResponse:
    # Middleware also loads sessions and users, and its errors bypass `process_exception`.
    error = sys.exception()
    if error is not None and isinstance(busy := as_domain_error(error), Busy):
        return error_response(request, busy)
    message = _("This is our fault, not yours. It has been written down.")
    return _respond(request, ErrorPage(500, "server_error", message))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Explain an invalid CSRF token: nearly always the form was open for days, or the browser blocks cookies."""
    log.info("csrf_refused", reason=reason)
    if wants_json(request) and not request.user.is_authenticated:
        return error_response(request, signed_out_error())
    problem = ErrorPage(
        403,
        "csrf",
        _("For safety we could not take it; that also happens where a browser keeps no cookies. Nothing was changed."),
        hint=_("Go back, reload the page and send it again. Cookies must be allowed for this site."),
        title=_("This form was open for too long"),
    )
    return _respond(request, _with_kept_form(request, problem))


def _with_kept_form(request: HttpRequest, problem: ErrorPage) -> ErrorPage:
    """Keep the form that was sent, and let the page show its texts.

    Never for a form of another site, because the user did not write it, and not for scripts, which keep it themselves.
    """
    if not kept_forms.may_be_kept(request) or not previous_page(request) or wants_json(request):
        return problem
    problem = replace(problem, typed=kept_forms.typed_texts(request))
    if problem.status >= 500:
        # Django saves no session and sets no cookie with such a response.
        if not request.user.is_authenticated or not kept_forms.keep(request):
            return problem
        request.session.save()
    else:
        kept_forms.keep(request)
    return replace(problem, page=kept_forms.form_page(request))


def _respond(request: HttpRequest, problem: ErrorPage) -> HttpResponse:
    response: HttpResponse
    if is_api_path(request.path_info):
        response = JsonResponse(_envelope(request, problem), status=problem.status)
    elif wants_json(request):
        response = JsonResponse(
            {
                "code": problem.code,
                "message": problem.message,
                "field": problem.field,
                "hint": problem.hint,
                "request_id": getattr(request, "request_id", ""),
            },
            status=problem.status,
        )
    else:
        response = HttpResponse(_page(request, problem), status=problem.status)
    if problem.retry_after is not None:
        response["Retry-After"] = str(problem.retry_after)
    response["Cache-Control"] = "no-store"
    return response


def _envelope(request: HttpRequest, problem: ErrorPage) -> dict[str, object]:
    """Return the JSON for an API request that never reached a view, and so has no error code of the API."""
    if not is_openai_path(request.path_info):
        return {
            "error_code": 0,
            "message": problem.message,
            "detail": problem.title or str(_TITLES[problem.status]),
        }
    kind = "invalid_request_error" if problem.status < 500 else "server_error"
    return {"error": {"message": problem.message, "type": kind, "param": None, "code": problem.code}}


def _page(request: HttpRequest, problem: ErrorPage) -> str:
    page = _PAGE_STATUS.get(problem.status, problem.status)
    if page not in _TITLES:
        page = 400 if page < 500 else 500
    steps: tuple[Any, ...] = (problem.hint,) if problem.hint else ()
    if not steps or problem.status == 429:  # a limit also says that waiting helps
        steps += _WHAT_TO_DO.get(problem.status, _WHAT_TO_DO[page])
    wait = problem.retry_after
    request_id = getattr(request, "request_id", "")
    until = timezone.now() + timedelta(seconds=wait) if wait and wait >= _MIN_CLOCK_SECONDS else None
    context = {
        "status": problem.status,
        "title": problem.title or str(_TITLES[problem.status]),
        "message": problem.message,
        "what_to_do": steps,
        "request_id": request_id,
        "fault_url": fault_report_url(request_id),
        # The message of a rate limit already names a short wait.
        "retry_after": wait if until or problem.status != 429 else None,
        "until": until,
        "back_url": problem.page or previous_page(request),
        "typed": problem.typed,
        "is_kept": bool(problem.page),
    }
    try:
        if is_fragment_request(request):
            return loader.render_to_string("errors/_fragment.html", context)
        return loader.render_to_string(f"errors/{page}.html", context, request=None if page in _STANDALONE else request)
    except Exception:
        # A broken template or a lost database must not hide the original error.
        log.exception("error_page_failed", status=problem.status)
        return (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(context['title'])}</title>"
            f"<h1>{escape(context['title'])}</h1><p>{escape(problem.message)}</p>"
        )
