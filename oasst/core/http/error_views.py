"""What people see when something did not work: what happened, and what they can do.

`answer` is the one translator from the error family to pages, fragments and JSON; the handlers below it are those
that Django asks for by name. The pages of 500 and 503 ask nobody for anything: they have to work when the database
and Redis do not.
"""

import sys
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus

import structlog
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template import loader
from django.utils import timezone
from django.utils.html import escape

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
    signed_out,
)
from oasst.core.http import kept_forms
from oasst.core.http.api_paths import is_of_openai, is_of_the_wires
from oasst.core.http.requests import is_fragment_request, page_before, wants_json

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
_STATUS_OF_CODE = {"rate_limited": 429, "signed_out": 401, "too_large": 413}
# Statuses that share a page with a more general one.
_PAGE_OF = {401: 403, 405: 400, 409: 400, 410: 400, 413: 400}
_TITLES = {
    400: "That did not work",
    401: "Please sign in first",
    403: "This is not open to you",
    404: "There is nothing here",
    405: "That is not done at this address",
    409: "Something changed meanwhile",
    410: "This is over",
    413: "This is too much at once",
    429: "That was a little fast",
    500: "Something broke on our side",
    503: "Back in a moment",
}
_TYPED = "If you had typed something, the Back button of your browser leads to it."
_WHAT_TO_DO = {
    400: ("Go back, mend what is named above, and send it again.",),
    401: ("Sign in, then try again.",),
    403: ("Sign in with another account, if you have one that may.", "Ask a moderator if you think you should."),
    404: ("Check the address for typing errors.", "Start again from the dashboard."),
    405: ("Go back to the page that led you here, or start again from the dashboard.",),
    409: ("Reload the page to see how things stand now.",),
    410: ("Go back to the dashboard and take something new. Drafts are kept.",),
    413: ("Send it in smaller parts.", _TYPED),
    429: ("Wait as long as it says above, then try again.", _TYPED),
    500: ("Try again in a minute.", "If it happens again, tell us the number below."),
    503: ("Try again in a moment.", _TYPED),
}
_SPOKEN_IN_SECONDS = 90
"""Up to here; longer waits are told by the clock."""
# These pages are shown when the database may be away: no session, no signed-in person, nothing but the words.
_STANDALONE = (500, 503)


@dataclass(frozen=True)
class Trouble:
    """One thing that went wrong, in words."""

    status: int
    code: str
    message: str
    field: str | None = None
    hint: str = ""
    retry_after: int | None = None
    title: str = ""  # where that of the status says too little
    page: str = ""  # where to go on
    typed: tuple[str, ...] = ()  # what was written into the form that was refused


_TOO_LARGE = Trouble(413, "too_large", "More was sent than the site takes at once. Nothing was stored.")
_GARBLED = Trouble(
    400,
    "bad_request",
    "Something in the request was missing or garbled.",
    hint="Check the address for typing errors, or go back, reload the page and send it again.",
)


def status_of(error: DomainError) -> int:
    if error.code in _STATUS_OF_CODE:
        return _STATUS_OF_CODE[error.code]
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 400)


def answer(request: HttpRequest, error: DomainError) -> HttpResponse:
    """The refusal as the asker can read it."""
    metrics.domain_errors.labels(edge="page", code=error.code).inc()
    return _respond(
        request,
        Trouble(
            status=status_of(error),
            code=error.code,
            message=error.message,
            field=error.field,
            hint=error.hint,
            retry_after=error.retry_after if isinstance(error, Busy) else None,
        ),
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    error = as_domain_error(exception)
    return _respond(request, _TOO_LARGE if error and error.code == "too_large" else _GARBLED)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _respond(request, Trouble(403, "not_allowed", "You are not allowed to see or do this."))


def page_not_found(request: HttpRequest, exception: Http404) -> HttpResponse:
    return _respond(request, Trouble(404, "not_found", "The page may have moved, been removed, or never existed."))


def without_words(request: HttpRequest, status: int) -> HttpResponse:
    """For a refusal that came with a number alone."""
    if status == 405:
        return method_not_allowed(request)
    known = {one.value: one for one in HTTPStatus}.get(status)
    title = _TITLES.get(status) or (known.phrase if known else "That did not work")
    message = known.description if known and known.description else "The request could not be answered"
    return _respond(request, Trouble(status, "refused", f"{message}.", title=title))


def method_not_allowed(request: HttpRequest) -> HttpResponse:
    """Nearly always somebody who opened the address of a button as a page."""
    if request.method in ("GET", "HEAD"):
        title, message = "This address only takes forms", "It belongs to a button on a page, and shows nothing itself."
    else:
        title, message = "This address takes no forms", "It is a page to read. Nothing was changed."
    return _respond(request, Trouble(405, "method_not_allowed", message, title=title))


def server_error(request: HttpRequest) -> HttpResponse:
    # Sessions and people are also loaded by middleware, whose errors pass no `process_exception`.
    error = sys.exception()
    if error is not None and isinstance(refused := as_domain_error(error), Busy):
        return answer(request, refused)
    return _respond(request, Trouble(500, "server_error", "This is our fault, not yours. It has been written down."))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without a valid token: nearly always one that was open for days, or a browser that keeps no cookies."""
    log.info("csrf_refused", reason=reason)
    if wants_json(request) and not request.user.is_authenticated:
        return answer(request, signed_out())
    trouble = Trouble(
        403,
        "csrf",
        "For safety we could not take it; that also happens where a browser keeps no cookies. Nothing was changed.",
        hint="Go back, reload the page and send it again. Cookies must be allowed for this site.",
        title="This form was open for too long",
    )
    # Not of a form that stood on somebody else's site: its words are not this person's.
    if kept_forms.takes_words(request) and page_before(request) and not wants_json(request):
        kept_forms.keep(request)
        trouble = replace(trouble, typed=kept_forms.words_of(request), page=kept_forms.page_of_form(request))
    return _respond(request, trouble)


def _respond(request: HttpRequest, trouble: Trouble) -> HttpResponse:
    response: HttpResponse
    if is_of_the_wires(request.path_info):
        response = JsonResponse(_envelope(request, trouble), status=trouble.status)
    elif wants_json(request):
        response = JsonResponse(
            {
                "code": trouble.code,
                "message": trouble.message,
                "field": trouble.field,
                "hint": trouble.hint,
                "request_id": getattr(request, "request_id", ""),
            },
            status=trouble.status,
        )
    else:
        response = HttpResponse(_page(request, trouble), status=trouble.status)
    if trouble.retry_after is not None:
        response["Retry-After"] = str(trouble.retry_after)
    response["Cache-Control"] = "no-store"
    return response


def _page_of(status: int) -> int:
    page = _PAGE_OF.get(status, status)
    if page in _TITLES:
        return page
    return 400 if status < 500 else 500


def _envelope(request: HttpRequest, trouble: Trouble) -> dict[str, object]:
    """Of what never reached a view of the wires: their own refusals have their numbers and names from there."""
    if not is_of_openai(request.path_info):
        return {"error_code": 0, "message": trouble.message, "detail": trouble.title or _TITLES[trouble.status]}
    kind = "invalid_request_error" if trouble.status < 500 else "server_error"
    return {"error": {"message": trouble.message, "type": kind, "param": None, "code": trouble.code}}


def _page(request: HttpRequest, trouble: Trouble) -> str:
    page = _page_of(trouble.status)
    steps: tuple[str, ...] = (trouble.hint,) if trouble.hint else ()
    if not steps or trouble.status == 429:  # a limit also says that waiting helps
        steps += _WHAT_TO_DO.get(trouble.status, _WHAT_TO_DO[page])
    wait = trouble.retry_after
    until = timezone.now() + timedelta(seconds=wait) if wait and wait >= _SPOKEN_IN_SECONDS else None
    context = {
        "status": trouble.status,
        "title": trouble.title or _TITLES[trouble.status],
        "message": trouble.message,
        "what_to_do": steps,
        "request_id": getattr(request, "request_id", ""),
        # The message of a limit says a short time itself.
        "retry_after": wait if until or trouble.status != 429 else None,
        "until": until,
        "back_url": trouble.page or page_before(request),
        "typed": trouble.typed,
    }
    try:
        if is_fragment_request(request):
            return loader.render_to_string("errors/_fragment.html", context)
        return loader.render_to_string(f"errors/{page}.html", context, request=None if page in _STANDALONE else request)
    except Exception:
        # The last wall: a broken template or a lost database must not hide what went wrong in the first place.
        log.exception("error_page_failed", status=trouble.status)
        return (
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(context['title'])}</title>"
            f"<h1>{escape(context['title'])}</h1><p>{escape(trouble.message)}</p>"
        )
