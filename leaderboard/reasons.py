"""The reasons for a user's points: the latest work, its points, and whether its outcome is open. Reads only."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet
from django.utils.functional import Promise

from leaderboard.points import KINDS, worth
from leaderboard.scoring import Credit, credits_of
from oasst.accounts.models import User
from oasst.core.errors import Invalid
from oasst.core.markdown.rendering import plain_excerpt
from oasst.core.timestamps import parse_timestamp
from trees.access import may_read
from trees.models import Message, Ranking, Review
from trees.queries import EXCERPT, placeholder_for, text_start

SIZE = 20


@dataclass(frozen=True)
class Line:
    label: str | Promise
    number: int
    points: str
    quality: int


@dataclass(frozen=True)
class Reason:
    """All points that a user has from one message: their own, or one that they judged."""

    message_id: UUID
    at: datetime
    text: str
    lang: str  # of the text; empty for a placeholder
    own: bool
    deleted: bool
    shown: bool  # False: the user may not read the text
    lines: list[Line]
    points: int
    open: bool
    """The outcome is not known yet."""


@dataclass(frozen=True)
class Page:
    reasons: list[Reason]
    older: str  # to ask for the next page; empty on the last


def reasons_of(user: User, *, before: str = "") -> Page:
    """Return a page of reasons, the latest work first. Six statements. Raise Invalid `bad_cursor`."""
    try:
        moment = parse_timestamp(before) if before else None
    except ValueError as error:
        raise Invalid("This page does not exist. Start again with the newest.", code="bad_cursor") from error
    latest = _latest(user, moment)
    more = len(latest) > SIZE
    latest = dict(list(latest.items())[:SIZE])
    messages = Message.objects.filter(pk__in=latest).annotate(excerpt=text_start("text"))
    about = {
        message.pk: message
        for message in messages.only("tree_id", "lang", "author_id", "deleted", "hidden", "kept_hidden", "withdrawn")
    }
    of_trees = credits_of({message.tree_id for message in about.values()})
    credits = [credit for _, of_tree in of_trees.values() for credit in of_tree if credit.person == user.pk]
    reasons = []
    for message_id, at in latest.items():
        of_message = [credit for credit in credits if credit.message == message_id and credit.kind in KINDS]
        reasons.append(_reason(about[message_id], at, user, of_message))
    return Page(reasons, reasons[-1].at.isoformat() if more else "")


def _latest(user: User, before: datetime | None) -> dict[UUID, datetime]:
    """Return message id → when the user last worked on it, newest first; one more than fits on a page.

    One statement.
    """
    latest: dict[UUID, datetime] = {}
    rankings = Ranking.objects.filter(author=user)
    works = (
        ("pk", Message.objects.filter(author=user)),
        ("message_id", Review.by_author.filter(author=user, kind__in=Review.BY_TASK)),
        ("parent_id", rankings),
    )
    parts: list[QuerySet[Any, Any]] = []
    for about, work in works:
        rows = work.values_list(about, "created_at")
        if before:
            # A message that the user ranked later is already on an earlier page.
            on_earlier_page = Exists(rankings.filter(parent=OuterRef(about), created_at__gte=before))
            rows = rows.filter(~on_earlier_page, created_at__lt=before)
        parts.append(rows.order_by("-created_at")[: SIZE + 1])
    for message_id, at in parts[0].union(*parts[1:], all=True):
        latest[message_id] = max(at, latest.get(message_id, at))
    return dict(sorted(latest.items(), key=lambda pair: pair[1], reverse=True)[: SIZE + 1])


def _reason(message: Any, at: datetime, user: User, credits: Iterable[Credit]) -> Reason:
    counts: Counter[str] = Counter()
    for credit in credits:
        counts[credit.kind] += credit.number
    settled = counts["accepted_prompts"] or counts["rejected"]
    is_open = bool(counts.pop("provisional", 0)) or ("prompts" in counts and not settled)
    lines = [_line(kind, counts[kind]) for kind in KINDS if counts[kind]]
    points = sum(worth(kind, number) for kind, number in counts.items())
    shown = may_read(user, message)
    text = plain_excerpt(message.excerpt, EXCERPT) if shown else placeholder_for(message)
    own = message.author_id == user.pk
    return Reason(
        message.pk, at, text, message.lang if shown else "", own, message.deleted, shown, lines, points, is_open
    )


def _line(kind: str, number: int) -> Line:
    row = KINDS[kind]
    points = f"{row.points * number:.1f}" if 0 < row.points < 1 else str(worth(kind, number))
    return Line(row.label, number, points, row.quality * number)
