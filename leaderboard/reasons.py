"""What each point is for: the person's latest work, with what it was worth and what may still come. Reads only."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef

from leaderboard.points import KINDS, worth
from leaderboard.scoring import Credit, credits_of
from oasst.accounts.models import User
from oasst.core.errors import Invalid
from oasst.core.markdown.rendering import plain_excerpt
from oasst.core.timestamps import parse_moment
from trees.access import may_read
from trees.models import Message, Ranking, Review
from trees.queries import EXCERPT, beginning_of, instead_of_text

SIZE = 20


@dataclass(frozen=True)
class Line:
    label: str
    number: int
    points: str
    quality: int


@dataclass(frozen=True)
class Reason:
    """Everything that the person has from one message: their own, or one that they judged."""

    message_id: UUID
    at: datetime
    text: str
    own: bool
    deleted: bool
    shown: bool  # to this person
    lines: list[Line]
    points: int
    open: bool
    """The outcome is not known yet."""


@dataclass(frozen=True)
class Page:
    reasons: list[Reason]
    older: str  # to ask for the next page; empty on the last


def reasons_of(person: User, *, before: str = "") -> Page:
    """The latest work first. Eight statements. Raises Invalid `bad_cursor`."""
    moment = _moment(before)
    latest = _latest(person, moment)
    more = len(latest) > SIZE
    latest = dict(list(latest.items())[:SIZE])
    messages = Message.objects.filter(pk__in=latest).annotate(excerpt=beginning_of("text"))
    about = {message.pk: message for message in messages.only("tree_id", "author_id", "deleted", "hidden", "withdrawn")}
    found = credits_of({message.tree_id for message in about.values()})
    credits = [one for _, every in found.values() for one in every if one.person == person.pk]
    reasons = []
    for message_id, at in latest.items():
        message = about[message_id]
        mine = [one for one in credits if one.message == message_id and one.kind in KINDS]
        reasons.append(_reason(message, at, person, mine))
    return Page(reasons, reasons[-1].at.isoformat() if more else "")


def _moment(before: str) -> datetime | None:
    if not before:
        return None
    try:
        return parse_moment(before)
    except ValueError as error:
        raise Invalid("This page does not exist. Start again with the newest.", code="bad_cursor") from error


def _latest(person: User, before: datetime | None) -> dict[UUID, datetime]:
    """Message → when the person last did something about it, newest first; one more than a page."""
    found: dict[UUID, datetime] = {}
    rankings = Ranking.objects.filter(author=person)
    works = (
        ("pk", Message.objects.filter(author=person)),
        ("message_id", Review.objects.filter(author=person, kind=Review.Kind.REVIEW)),
        ("parent_id", rankings),
    )
    for about, work in works:
        rows = work.values_list(about, "created_at")
        if before:
            # Told with the ranking, which came last, on a page before.
            told = Exists(rankings.filter(parent=OuterRef(about), created_at__gte=before))
            rows = rows.filter(~told, created_at__lt=before)
        for message_id, at in rows.order_by("-created_at")[: SIZE + 1]:
            found[message_id] = max(at, found.get(message_id, at))
    return dict(sorted(found.items(), key=lambda pair: pair[1], reverse=True)[: SIZE + 1])


def _reason(message: Any, at: datetime, person: User, credits: Iterable[Credit]) -> Reason:
    counts: Counter[str] = Counter()
    for credit in credits:
        counts[credit.kind] += credit.number
    is_open = bool(counts.pop("provisional", 0)) or ("prompts" in counts and not _settled(counts))
    lines = [_line(kind, counts[kind]) for kind in KINDS if counts[kind]]
    points = sum(worth(kind, number) for kind, number in counts.items())
    shown = may_read(person, message)
    text = plain_excerpt(message.excerpt, EXCERPT) if shown else instead_of_text(message)
    own = message.author_id == person.pk
    return Reason(message.pk, at, text, own, message.deleted, shown, lines, points, is_open)


def _settled(counts: Counter[str]) -> bool:
    return bool(counts["accepted_prompts"] or counts["rejected"])


def _line(kind: str, number: int) -> Line:
    row = KINDS[kind]
    points = f"{row.points * number:.1f}" if 0 < row.points < 1 else str(worth(kind, number))
    return Line(row.label, number, points, row.quality * number)
