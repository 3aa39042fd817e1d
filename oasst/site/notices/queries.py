"""Read notices for pages and mails. Never writes."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import BigIntegerField, Case, Exists, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from oasst.core.errors import Invalid
from oasst.core.http.requests import row_id
from oasst.core.markdown.rendering import plain_excerpt
from oasst.core.models import AuditText
from oasst.site.models import Notice, NoticeAccount
from oasst.site.notices.wording import Entry, entry_of
from trees.models import Message, Snapshot
from trees.queries import EXCERPT, text_start

PAGE_SIZE = 20
Kind = Notice.Kind
_IN_TREE = Q(message__deleted=False, message__hidden=False)
_OFFERED = Snapshot.objects.filter(published_at__isnull=False, state=Snapshot.State.FROZEN)
STILL_TRUE = (
    Q(kind=Kind.ACCEPTED, message__review_result=True, message__deleted=False)
    | Q(kind=Kind.REJECTED, message__review_result=False, message__deleted=False)
    | Q(_IN_TREE, kind__in=[Kind.ANSWERED, Kind.CORRECTED], message__review_result=True)
    | Q(_IN_TREE, kind=Kind.RANKED_FIRST, message__rank=0)
    | Q(Exists(_OFFERED.filter(name=OuterRef("snapshot_name"))), kind=Kind.EXPORTED)
    | Q(kind__in=[Kind.REPORT_SETTLED, Kind.WITHDRAWAL_DECIDED, Kind.LEVEL_REACHED])
    | Q(kind__in=[Kind.MODERATED, Kind.WARNED, Kind.APPEAL_ANSWERED, Kind.MERGED])
)
"""What a notice says still holds. Others are left out, for instance of an answer that was taken back."""


def valid_notices(person_id: UUID) -> QuerySet[Notice]:
    """Return the person's notices that still hold; of several that say the same of a message, the newest."""
    notices = Notice.objects.filter(person=person_id).annotate(snapshot_name=KT("data__snapshot"))
    said_again = Notice.objects.filter(
        message=OuterRef("message"), person=person_id, kind=OuterRef("kind"), pk__gt=OuterRef("pk")
    )
    return notices.filter(STILL_TRUE).exclude(Exists(said_again))


@dataclass(frozen=True)
class NoticePage:
    entries: list[Entry]
    newest: int | None
    """The id of the newest notice on the page: reading the page is reading all up to it."""
    newer: int | None  # cursors; None at either end
    older: int | None


def page_of(person_id: UUID, *, before: str = "", after: str = "", size: int = PAGE_SIZE) -> NoticePage:
    """Return one page, newest first: notices older than the id `before`, or newer than `after`. One statement.

    Raise Invalid `bad_cursor`.
    """
    rows = _with_texts(valid_notices(person_id))
    if after:
        found = list(rows.filter(pk__gt=_cursor(after)).order_by("pk")[: size + 1])
        more, found = len(found) > size, found[:size][::-1]
        has_newer, has_older = more, True
    else:
        chosen = rows.filter(pk__lt=_cursor(before)) if before else rows
        found = list(chosen.order_by("-pk")[: size + 1])
        more, found = len(found) > size, found[:size]
        has_newer, has_older = bool(before), more
    if not found:
        return NoticePage([], None, None, None)
    first, last = found[0].pk, found[-1].pk
    return NoticePage(join_bursts(found), first, first if has_newer else None, last if has_older else None)


def unmailed_entries(notices: QuerySet[Notice]) -> list[Entry]:
    """Return what a digest says, newest first."""
    return join_bursts(list(_with_texts(notices).order_by("-pk")))


def join_bursts(notices: list[Notice]) -> list[Entry]:
    """Return one entry for each notice, but a single one for all answers to the same message, with their number."""
    groups: dict[tuple[Any, ...], list[Notice]] = {}
    for notice in notices:
        burst = notice.kind == Kind.ANSWERED and notice.message is not None
        key = (notice.kind, notice.message.parent_id) if burst and notice.message is not None else (notice.pk,)
        groups.setdefault(key, []).append(notice)
    return [
        entry_of(
            group[0],
            excerpt=plain_excerpt(group[0].excerpt or "", EXCERPT),  # type: ignore[attr-defined]
            reason=group[0].why or "",  # type: ignore[attr-defined]
            number=len(group),
            unread=any(notice.read_at is None for notice in group),
        )
        for group in groups.values()
    ]


def account_of(person_id: UUID) -> NoticeAccount:
    """Return how the person wants to hear of notices: the stored row, or an unsaved one with the defaults."""
    return NoticeAccount.objects.filter(person=person_id).first() or NoticeAccount(person_id=person_id)


def _with_texts(notices: QuerySet[Notice]) -> QuerySet[Notice]:
    """Add the message, the start of its text unless nobody may read it, and why a moderator decided about it."""
    readable = Message.objects.filter(pk=OuterRef("message"), deleted=False, hidden=False)
    excerpt = readable.annotate(start=text_start("text")).values("start")
    rows = notices.select_related("message", "warning", "appeal").defer(
        "message__text", "message__search", "message__imported"
    )
    # Not kept in the notice, so that a purge erases it in one place.
    words = AuditText.objects.filter(entry=Cast(OuterRef("entry_key"), BigIntegerField()))
    why = Case(When(data__has_reason=True, then=Subquery(words.values("reason")[:1])))
    return rows.annotate(excerpt=excerpt[:1], entry_key=KT("data__entry")).annotate(why=why)


def _cursor(value: str) -> int:
    found = row_id(value)
    if found is None:
        raise Invalid("This page address is broken; start again from the first page.", code="bad_cursor")
    return found
