"""What people see when something did not work: what happened, and what they can do.

`answer` is the one translator from the error family to pages, fragments and JSON; the handlers below it are those
that Django asks for by name. The pages of 500 and 503 ask nobody for anything: they have to work when the database
and Redis do not.
"""

import sys
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template import loader
from django.utils import timezone
from django.utils.html import escape

from oasst.core import metrics
from oasst.core.errors import Busy, Conflict, DomainError, Gone, Invalid, NotAllowed, NotFound
from oasst.core.locks import as_busy
from oasst.core.requests import is_fragment_request, wants_json
from oasst.core.wires import is_of_openai, is_of_the_wires

log = structlog.get_logger(__name__)

_STATUS: tuple[tuple[type[DomainError], int], ...] = (
    (Invalid, 400),
    (NotAllowed, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Gone, 410),
    (Busy, 503),
)
# Statuses that share a page with a more general one.
_PAGE_OF = {409: 400, 410: 400}
_TITLES = {
    400: "That did not work",
    403: "This is not open to you",
    404: "There is nothing here",
    409: "Something changed meanwhile",
    410: "This is over",
    429: "That was a little fast",
    500: "Something broke on our side",
    503: "Back in a moment",
}
_WHAT_TO_DO = {
    400: ("Go back, mend what is named above, and send it again.",),
    403: ("Sign in with another account, if you have one that may.", "Ask a moderator if you think you should."),
    404: ("Check the address for typing errors.", "Start again from the dashboard."),
    409: ("Reload the page to see how things stand now.",),
    410: ("Go back to the dashboard and take something new. Drafts are kept.",),
    429: ("Wait as long as it says above, then try again.", "What you typed is still in the form: go back to it."),
    500: ("Try again in a minute.", "If it happens again, tell us the number below."),
    503: ("Try again in a moment. What you typed is still in the form: go back to it.",),
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


def status_of(error: DomainError) -> int:
    if error.code == "rate_limited":
        return 429
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
    return _respond(
        request,
        Trouble(
            400,
            "bad_request",
            "Something in the request was missing or garbled.",
            hint="Check the address for typing errors, or go back, reload the page and send it again.",
        ),
    )


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _respond(request, Trouble(403, "not_allowed", "You are not allowed to see or do this."))


def page_not_found(request: HttpRequest, exception: Http404) -> HttpResponse:
    return _respond(request, Trouble(404, "not_found", "The page may have moved, been removed, or never existed."))


def server_error(request: HttpRequest) -> HttpResponse:
    # Sessions and people are also loaded by middleware, whose errors pass no `process_exception`.
    error = sys.exception()
    if error is not None and (busy := as_busy(error)):
        return answer(request, busy)
    return _respond(request, Trouble(500, "server_error", "This is our fault, not yours. It has been written down."))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without a valid token: nearly always one that was open for days, or a browser that keeps no cookies."""
    log.info("csrf_refused", reason=reason)
    return _respond(
        request,
        Trouble(
            403,
            "csrf",
            "This form was open for too long, or your browser keeps no cookies. Nothing was changed.",
            hint="Go back, reload the page and send it again. Cookies must be allowed for this site.",
        ),
    )


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


def _envelope(request: HttpRequest, trouble: Trouble) -> dict[str, object]:
    """Of what never reached a view of the wires: their own refusals have their numbers and names from there."""
    if not is_of_openai(request.path_info):
        return {"error_code": 0, "message": trouble.message, "detail": _TITLES[trouble.status]}
    kind = "invalid_request_error" if trouble.status < 500 else "server_error"
    return {"error": {"message": trouble.message, "type": kind, "param": None, "code": trouble.code}}


def _page(request: HttpRequest, trouble: Trouble) -> str:
    page = _PAGE_OF.get(trouble.status, trouble.status)
    steps: tuple[str, ...] = (trouble.hint,) if trouble.hint else ()
    if not steps or trouble.status == 429:  # a limit also says that waiting helps
        steps += _WHAT_TO_DO[trouble.status]
    wait = trouble.retry_after
    context = {
        "title": _TITLES[trouble.status],
        "message": trouble.message,
        "what_to_do": steps,
        "request_id": getattr(request, "request_id", ""),
        "retry_after": wait,
        "until": timezone.now() + timedelta(seconds=wait) if wait and wait >= _SPOKEN_IN_SECONDS else None,
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
