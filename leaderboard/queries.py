"""Reading boards. Never writes.

What a person has just done counts for them at once: facts that the scores have not read yet are added to the person's
own row, here and wherever they look.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from leaderboard.frames import Frame
from leaderboard.kinds import COUNTERS, KINDS, worth
from leaderboard.models import MEASURES, Standing, TrollStanding
from oasst.accounts.models import User
from trees.models import Happening

Counts = Counter[str]
VISIBLE = Q(person__enabled=True, person__show_on_leaderboard=True)
PERSON = ("id", "display_name", "enabled", "deleted_at", "show_on_leaderboard", "time_zone")
STREAK = ("streak_started_at", "streak_days", "last_activity_at")


@dataclass
class Row:
    """One person on one board."""

    person: User
    counts: Counts
    score: int
    rank: int | None = None
    updated_at: datetime | None = None
    is_me: bool = False

    @property
    def texts(self) -> int:
        return sum(self.counts[kind] for kind in ("prompts", "replies_assistant", "replies_prompter"))

    @property
    def reviews(self) -> int:
        return self.counts["labels_simple"] + self.counts["labels_full"]


@dataclass
class Board:
    """The top of a board, and where the person who looks stands if that is further down."""

    rows: list[Row]
    more: bool
    mine: Row | None = None
    around: list[Row] = field(default_factory=list)


def measure_of(counts: Counts, measure: str) -> int:
    """The score that these counts give: what the database computes for whole rows."""
    if measure == "quality":
        return sum(kind.quality * counts[kind.name] for kind in KINDS.values())
    return sum(worth(kind.name, counts[kind.name]) for kind in KINDS.values() if measure in ("points", kind.activity))


def on_board(frame: Frame, lang: str, measure: str) -> QuerySet[Standing]:
    """The rows of a board in its order; equal scores by id. Without who is banned or does not want to be seen."""
    rows = Standing.objects.filter(VISIBLE, frame=frame.value, lang=lang)
    return (
        rows.order_by(f"-{measure}", "person_id")
        .select_related("person")
        .only("updated_at", *MEASURES, *COUNTERS, *(f"person__{name}" for name in (*PERSON, *STREAK)))
    )


def top(frame: Frame, *, start: int = 0, size: int = 100) -> list[Row]:
    """The board of all languages by points, people without any included. One statement."""
    rows = on_board(frame, "", "points")[start : start + size]
    return [_row(one, "points", rank) for rank, one in enumerate(rows, start=start + 1)]


def board(
    frame: Frame, *, viewer: User, lang: str = "", measure: str = "points", start: int = 0, size: int = 20
) -> Board:
    """One page of a board, with the viewer's own row and the window around it. Four statements at most."""
    found = on_board(frame, lang, measure).filter(**{f"{measure}__gt": 0})[start : start + size + 1]
    rows = [_row(one, measure, rank) for rank, one in enumerate(found, start=start + 1)]
    result = Board(rows[:size], more=len(rows) > size)
    for row in result.rows:
        row.is_me = row.person.pk == viewer.pk
    mine = own_counts(viewer, lang=lang, frames=[frame])[frame]
    score = measure_of(mine, measure)
    if score <= 0 or not (viewer.enabled and viewer.show_on_leaderboard):
        return result
    result.mine = Row(viewer, mine, score, is_me=True)
    here = next((row for row in result.rows if row.is_me), None)
    if here is not None and here.score == score:
        result.mine.rank = here.rank
        return result
    result.mine.rank = rank_of(frame, lang, measure, score, viewer.pk)
    result.around = _around(frame, lang, measure, result.mine)
    return result


def _row(standing: Standing, measure: str, rank: int | None) -> Row:
    counts = Counter({name: getattr(standing, name) for name in COUNTERS})
    return Row(standing.person, counts, getattr(standing, measure), rank, standing.updated_at)


ABOVE, BELOW = 1, 2  # rows shown around one's own


def _around(frame: Frame, lang: str, measure: str, mine: Row) -> list[Row]:
    """Own row with those just above and below it. One statement."""
    rows = on_board(frame, lang, measure).exclude(person=mine.person)
    tie, score, me = f"{measure}__gte", mine.score, mine.person.pk
    above = rows.filter(Q(**{f"{measure}__gt": score}) | Q(person__lt=me), **{tie: score})
    below = rows.filter(
        Q(**{f"{measure}__lt": score}) | Q(person__gt=me), **{f"{measure}__lte": score, f"{measure}__gt": 0}
    )
    ids = above.reverse().values("pk")[:ABOVE].union(below.values("pk")[:BELOW], all=True)
    near = list(on_board(frame, lang, measure).filter(pk__in=ids))
    rank, window = mine.rank or 1, [_row(one, measure, None) for one in near]
    before = [row for row in window if (-row.score, row.person.pk) < (-score, me)]
    after = [row for row in window if (-row.score, row.person.pk) > (-score, me)]
    for number, row in enumerate([*before, mine, *after], start=rank - len(before)):
        row.rank = number
    return [*before, mine, *after]


def rank_of(frame: Frame, lang: str, measure: str, score: int, person_id: UUID) -> int:
    """The place of somebody with this score: one more than those above. One statement.

    Those above are counted along the index of the board alone; the few of them who are not shown are taken away.
    """
    above = (
        f"FROM leaderboard_standing board WHERE frame = %(frame)s AND lang = %(lang)s AND {measure} >= %(score)s "
        f"AND ({measure} > %(score)s OR board.person_id < %(person)s)"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT 1 + (SELECT count(*) {above}) - (
                SELECT count(*) {above} AND board.person_id IN (
                    SELECT id FROM accounts_user WHERE NOT enabled OR NOT show_on_leaderboard
                )
            )
            """,
            {"frame": frame.value, "lang": lang, "score": score, "person": person_id},
        )
        return int(cursor.fetchone()[0])


_OWN = f"""
    SELECT frame, {", ".join(COUNTERS)} FROM leaderboard_standing
    WHERE person_id = %(person)s AND lang = %(lang)s AND frame = ANY(%(frames)s)
    UNION ALL
    SELECT '', {", ".join(f"count(*) FILTER (WHERE kind = '{name}')" for name in COUNTERS)}
    FROM (
        SELECT CASE
            WHEN told.kind = 'replies_ranked' THEN 'rankings_total'
            WHEN told.kind = 'message_reviewed' THEN 'labels_' || (told.data ->> 'mode')
            WHEN message.parent_id IS NULL THEN 'prompts'
            ELSE 'replies_' || message.role
        END AS kind
        FROM trees_happening told
        JOIN trees_message message ON message.id = told.message_id
        JOIN trees_messagetree tree ON tree.id = told.tree_id
        WHERE NOT told.tallied AND told.actor_id = %(person)s AND told.kind = ANY(%(work)s)
          AND %(lang)s IN ('', tree.lang)
    ) AS unread
"""
_WORK = [kind.value for kind in (Happening.Kind.MESSAGE_POSTED, Happening.Kind.MESSAGE_REVIEWED)]
_WORK.append(Happening.Kind.REPLIES_RANKED.value)


def own_counts(person: User, *, lang: str = "", frames: Iterable[Frame] = Frame) -> dict[Frame, Counts]:
    """What a person did in each frame, with what the scores have not read yet. One statement.

    The unread is new work, so it is in every frame, and what became of it is open.
    """
    wanted = list(frames)
    with connection.cursor() as cursor:
        facts: dict[str, Any] = {
            "person": person.pk,
            "lang": lang,
            "frames": [frame.value for frame in wanted],
            "work": _WORK,
        }
        cursor.execute(_OWN, facts)
        found: dict[str, Counts] = {
            frame: Counter(dict(zip(COUNTERS, numbers, strict=True))) for frame, *numbers in cursor.fetchall()
        }
    unread = found.pop("")
    unread["provisional"] = sum(worth(kind, number) for kind, number in unread.items())
    return {frame: found.get(frame.value, Counter()) + unread for frame in wanted}


def own_points(person: User) -> int:
    """All points of a person. One statement."""
    return measure_of(own_counts(person, frames=[Frame.TOTAL])[Frame.TOTAL], "points")


def troll_board(frame: Frame, *, enabled: bool | None = None, size: int = 100) -> QuerySet[TrollStanding]:
    """The moderators' board, most complaints first. It shows everybody."""
    rows: QuerySet[Any] = TrollStanding.objects.filter(frame=frame.value).select_related("person")
    if enabled is not None:
        rows = rows.filter(person__enabled=enabled)
    return rows.order_by("-score", "person_id")[:size]
