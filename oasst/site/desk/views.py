"""The pages of the desk: /admin/desk/ and what its forms send.

A GET never writes, so the item is claimed by POSTs: starting, deciding, leaving for now and undoing each take the next
one and go back to the page.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from oasst.accounts.models import User
from oasst.accounts.rights import languages_of
from oasst.core.errors import DomainError, NotFound
from oasst.core.http.requests import row_id
from oasst.core.locks import timeouts_as_busy
from oasst.core.text.languages import LANGUAGES, name_of
from oasst.site.desk import claims, contexts, decisions, effects, queue, reasons, undoing
from oasst.site.desk.queue import Board, Filters
from oasst.site.desk.subjects import Source, Subject, SubjectKind
from oasst.site.desk.titles import titles_of
from oasst.site.models import DeskDecision

SKIPPED = "desk_skipped"
"""Session key of the subjects that the moderator left for now."""
MAX_SKIPPED = 200
REFUSED = "desk_refused"
"""Session key of what was typed in a form that was refused."""
FIELDS = ("act", "reason", "also", "days", "lang", "text")
"""Fields of the form of decisions, which are kept if it is refused."""
MAX_KEPT = 20_000
"""Characters of each field that are kept if a form is refused: as much as the longest text."""
DEFAULT_DAYS = 7


@require_safe
def desk(request: HttpRequest) -> HttpResponse:
    """Show the item that the moderator holds, or what waits. Reads only."""
    moderator = _moderator(request)
    filters = _filters(request.GET)
    board = queue.read_board(moderator, languages_of(moderator), filters)
    skipped = set(request.session.get(SKIPPED, ()))
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": gettext("Desk"),
        "board": board,
        "filters": filters,
        "query": _query(filters),
        "sources": [(source, board.by_source[source]) for source in Source if board.by_source[source]],
        "langs": [(lang, name_of(lang)) for lang in board.langs],
        "left": [item for item in board.waiting if item.subject.id in skipped],
        "decided": _decided(moderator, request),
        "now": timezone.now(),
    }
    if board.mine is not None:
        context |= _about_item(board, moderator, request)
    return render(request, "admin/desk/desk.html", context)


@require_POST
def take(request: HttpRequest) -> HttpResponse:
    """Take the next item; with `later` leave the one that is held for now, with `again` show those that were left."""
    if "again" in request.POST:
        request.session.pop(SKIPPED, None)
    if "later" in request.POST:
        _leave_for_now(request, _subject(request.POST))
    return _next(request)


@require_POST
def decide(request: HttpRequest) -> HttpResponse:
    """Decide about the item, and take the next one."""
    sent = request.POST
    subject = _subject(sent)
    typed = {name: sent.get(name, "") for name in FIELDS}
    if not typed["reason"].strip():  # without the script, a prepared reason fills no field
        typed["reason"] = reasons.text_of(subject.kind, row_id(sent.get("prepared", "")))
    try:
        with timeouts_as_busy():
            decisions.decide(
                moderator=_moderator(request),
                session=decisions.session_digest(request.session.session_key),
                subject=subject,
                seen=row_id(sent.get("seen", "")),
                **typed,
            )
    except DomainError as error:
        messages.error(request, error.message)
        if error.code in ("held", "decided", "half_done"):
            return _next(request)
        kept = {name: value[:MAX_KEPT] for name, value in typed.items()}
        request.session[REFUSED] = {**kept, "subject": [subject.kind, subject.id], "field": error.field or ""}
        return _back(request)
    return _next(request)


@require_POST
def undo(request: HttpRequest) -> HttpResponse:
    """Undo one of the decisions of this session, and show its item again."""
    moderator = _moderator(request)
    session = decisions.session_digest(request.session.session_key)
    decision = DeskDecision.objects.filter(pk=row_id(request.POST.get("decision", "")) or 0).first()
    if decision is None or decision.moderator_id != moderator.pk or decision.session != session:
        messages.error(request, gettext("This cannot be undone here: it is no decision of this session."))
        return _back(request)
    try:
        with timeouts_as_busy():
            undoing.undo_decision(decision, actor=moderator, reason=gettext("Undone at the desk."))
    except DomainError as error:
        messages.error(request, error.message)
        return _back(request)
    claims.give_back(moderator)
    claims.renew(moderator, Subject(decision.subject_kind, decision.subject_id))
    messages.success(request, gettext("Undone. Here it is again."))
    return _back(request)


@require_POST
def renew(request: HttpRequest) -> HttpResponse:
    """Hold the item that is looked at for another while. A script asks this every two minutes."""
    holds = claims.renew(_moderator(request), _subject(request.POST))
    return JsonResponse({"holds": holds}, status=200 if holds else 409)


@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """Give the item back: at once by the button, and soon if a script says that the page was closed or reloaded."""
    moderator = _moderator(request)
    if "closed" in request.POST:
        claims.leave(moderator)
        return HttpResponse(status=204)
    claims.give_back(moderator)
    return redirect("admin:index")


# --- Pieces ---


def _about_item(board: Board, moderator: User, request: HttpRequest) -> dict[str, Any]:
    assert board.mine is not None
    shown = contexts.show(board.mine, moderator)
    subject = board.mine.subject
    refused: Mapping[str, Any] = request.session.get(REFUSED) or {}
    if refused.get("subject") != [subject.kind, subject.id]:
        refused = {}
    text = shown.message.text if shown.message else ""
    return {
        "shown": shown,
        "item": board.mine,
        "subject": subject,
        "kind": shown.kind,
        "lang_name": name_of(board.mine.lang) if board.mine.lang else "",
        "reasons_of_item": [(Source(source).label, source) for source in _sources_of(board)],
        "reasons": list(enumerate(reasons.REASONS[subject.kind], start=1)),
        "refused": refused,
        "typed": {"text": text, "days": str(DEFAULT_DAYS), **{k: v for k, v in refused.items() if v}},
        "days": [str(number) for number in effects.DAYS],
        "languages": [one for one in LANGUAGES if not shown.tree or one.code != shown.tree.lang],
        "guess": shown.message.looks_like if shown.message else "",
    }


def _sources_of(board: Board) -> list[str]:
    assert board.mine is not None
    return list(dict.fromkeys(reason.source for reason in sorted(board.mine.reasons, key=lambda one: one.severity)))


def _decided(moderator: User, request: HttpRequest) -> list[tuple[DeskDecision, str, str, bool]]:
    """Return the last decisions of this session that are in force: what, about what, and whether it can be undone."""
    latest = undoing.latest_decisions(moderator, decisions.session_digest(request.session.session_key))
    titles = titles_of([one for one, _may_undo in latest])
    return [(one, decisions.in_words(one), titles[one.pk], may_undo) for one, may_undo in latest]


def _next(request: HttpRequest) -> HttpResponse:
    moderator = _moderator(request)
    request.session.pop(REFUSED, None)
    skipped = request.session.get(SKIPPED, ())
    queue.take_next(moderator, languages_of(moderator), filters=_filters(request.POST), skipped=skipped)
    return _back(request)


def _back(request: HttpRequest) -> HttpResponse:
    query = _query(_filters(request.POST))
    return redirect(f"{reverse('admin:desk')}{query}")


def _leave_for_now(request: HttpRequest, subject: Subject) -> None:
    before = [one for one in request.session.get(SKIPPED, ()) if one != subject.id]
    request.session[SKIPPED] = [*before, subject.id][-MAX_SKIPPED:]


def _filters(sent: Mapping[str, Any]) -> Filters:
    source, lang = str(sent.get("source", "")), str(sent.get("in_lang", ""))
    return Filters(source if source in Source else "", lang[:32])


def _query(filters: Filters) -> str:
    pairs = {name: value for name, value in (("source", filters.source), ("in_lang", filters.lang)) if value}
    return f"?{urlencode(pairs)}" if pairs else ""


def _subject(sent: Mapping[str, Any]) -> Subject:
    """Return the subject that a form is about. Raise NotFound for what none can be."""
    kind, key = sent.get("subject_kind", ""), sent.get("subject_id", "")
    try:
        return Subject(SubjectKind(kind).value, str(UUID(key)))
    except ValueError:
        raise NotFound(gettext("There is no such item."), code="no_such_item") from None


def _moderator(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # admin_view lets nobody else in
    return request.user
