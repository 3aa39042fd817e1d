"""Reading boards. Never writes.

What a person has just done counts for them at once: facts that the scores have not read yet are added to the person's
own row, here and wherever they look.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.cache import cache
from django.db import connection
from django.db.models import QuerySet

from leaderboard.frames import Frame
from leaderboard.kinds import COUNTERS, KINDS, worth
from leaderboard.models import MEASURES, TrollStanding
from oasst.accounts.models import User
from oasst.core import prepared
from trees.models import Happening

Counts = Counter[str]
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


_SHOWN = {"id", "display_name", "program_beside", "role", "enabled", "show_on_leaderboard", "time_zone", *STREAK}
_NOT_SHOWN = frozenset(one.name for one in User._meta.concrete_fields if one.name not in _SHOWN)
# By hand: writing the statement took the ORM several times as long as the database takes to answer it.
_ROWS = f"""
    SELECT board.updated_at, {{measure}}, {", ".join(f"board.{name}" for name in COUNTERS)},
           {prepared.columns(User, "person", _NOT_SHOWN)}
    FROM leaderboard_standing board JOIN accounts_user person ON person.id = board.person_id
    WHERE board.frame = %(frame)s AND board.lang = %(lang)s AND person.enabled AND person.show_on_leaderboard
      AND {{stretch}}
    ORDER BY {{order}} LIMIT {{limit}}
""".strip()
DOWN, UP = "{measure} DESC, board.person_id", "{measure}, board.person_id DESC"


def _statement(measure: str, stretch: str, order: str, limit: str) -> str:
    if measure not in MEASURES:  # it becomes part of the statement
        raise ValueError(f"There is no measure {measure!r}.")
    parts = {"stretch": stretch.format(measure=measure), "order": order.format(measure=measure), "limit": limit}
    return _ROWS.format(measure=measure, **parts)


def _read(statement: str, facts: dict[str, Any]) -> list[Row]:
    return [_row(values) for values in prepared.read(statement, facts)]


def _row(values: tuple[Any, ...]) -> Row:
    updated_at, score, *numbers = values[: 2 + len(COUNTERS)]
    person = prepared.as_model(User, values[2 + len(COUNTERS) :], _NOT_SHOWN)
    return Row(person, Counter(dict(zip(COUNTERS, numbers, strict=True))), score, updated_at=updated_at)


def top(
    frame: Frame, *, lang: str = "", measure: str = "points", above: int = -1_000_000, start: int = 0, size: int = 100
) -> list[Row]:
    """Rows of a board with a score above `above`, best first, equal scores by id. Who is banned or does not want to be
    seen is left out. One statement."""
    # As a number in the text, the limit tells the planner that few rows are wanted, whoever they are.
    limit = f"{int(size)} OFFSET %(start)s"
    facts = {"frame": frame.value, "lang": lang, "above": above, "start": start}
    rows = _read(_statement(measure, "{measure} > %(above)s", DOWN, limit), facts)
    for rank, row in enumerate(rows, start=start + 1):
        row.rank = rank
    return rows


def board(
    frame: Frame, *, viewer: User, lang: str = "", measure: str = "points", start: int = 0, size: int = 20
) -> Board:
    """One page of a board, with the viewer's own row and the window around it. Four statements, and a fifth once a
    minute for the ladder."""
    rows = top(frame, lang=lang, measure=measure, above=0, start=start, size=size + 1)
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
        here.counts, result.mine.rank = mine, here.rank
        return result
    result.mine.rank = rank_of(frame, lang, measure, score, viewer.pk)
    result.around = _around(frame, lang, measure, result.mine)
    return result


ABOVE, BELOW = 1, 2  # rows shown around one's own


def _around(frame: Frame, lang: str, measure: str, mine: Row) -> list[Row]:
    """Own row with those just above and below it. One statement of four parts, each the start of a stretch of the
    index: as one condition it would read all who have the same score.
    """
    parts = (
        ("{measure} = %(score)s AND board.person_id < %(me)s", UP, ABOVE),
        ("{measure} > %(score)s", UP, ABOVE),
        ("{measure} = %(score)s AND board.person_id > %(me)s", DOWN, BELOW),
        ("{measure} < %(score)s AND {measure} > 0 AND board.person_id <> %(me)s", DOWN, BELOW),
    )
    statement = " UNION ALL ".join(
        f"({_statement(measure, stretch, order, str(limit))})" for stretch, order, limit in parts
    )
    me = mine.person.pk
    near = _read(statement, {"frame": frame.value, "lang": lang, "score": mine.score, "me": me})
    near.sort(key=lambda row: (-row.score, row.person.pk))
    before = [row for row in near if (-row.score, row.person.pk) < (-mine.score, me)][-ABOVE:]
    after = [row for row in near if (-row.score, row.person.pk) > (-mine.score, me)][:BELOW]
    for number, row in enumerate([*before, mine, *after], start=(mine.rank or 1) - len(before)):
        row.rank = number
    return [*before, mine, *after]


RUNG = 100  # places from rung to rung of a ladder
LADDER_SECONDS, LADDER_KEPT = 60, 600
Rung = tuple[int, int, str]
"""Place, score and person. The id as text: it has the same order, and hundreds of them are read ten times as fast."""


def rank_of(frame: Frame, lang: str, measure: str, score: int, person_id: UUID) -> int:
    """The place of somebody with this score: one more than those above. One statement.

    Counted from the next rung of a ladder that is up to a minute old: counting from the top would read as many rows as
    there are people above. So the first places are exact, and those further down as they were a minute ago at worst.
    """
    ladder = _ladder(frame, lang, measure)
    above = bisect_left(ladder, (-score, str(person_id)), key=lambda rung: (-rung[1], rung[2]))
    facts: dict[str, Any] = {"frame": frame.value, "lang": lang, "score": score, "person": person_id}
    if above:
        place, top, leader = ladder[above - 1]
        facts.update(place=place, top=top, leader=UUID(leader))
        between = [f"{measure} = %(top)s AND person_id > %(leader)s", f"{measure} < %(top)s AND {measure} > %(score)s"]
        if facts["top"] == score:
            between = [f"{measure} = %(score)s AND person_id > %(leader)s AND person_id < %(person)s"]
        else:
            between.append(f"{measure} = %(score)s AND person_id < %(person)s")
    else:
        facts["place"] = 0
        between = [f"{measure} > %(score)s", f"{measure} = %(score)s AND person_id < %(person)s"]
    # Each part is one stretch of the index of the board.
    counts = " + ".join(
        f"""(
            SELECT count(*) FROM leaderboard_standing JOIN accounts_user person ON person.id = person_id
            WHERE frame = %(frame)s AND lang = %(lang)s AND {stretch}
              AND person.enabled AND person.show_on_leaderboard
        )"""
        for stretch in between
    )
    ((rank,),) = prepared.read(f"SELECT %(place)s + 1 + {counts}", facts)
    return int(rank)


def _ladder(frame: Frame, lang: str, measure: str) -> list[Rung]:
    """Every hundredth row of a board. Renewed once a minute while somebody looks, by one of those who look."""
    key = f"rungs:{frame.value}:{lang}:{measure}"
    made_at, rungs = cache.get(key) or (0, [])
    age = time.time() - made_at
    if age > LADDER_SECONDS and (not made_at or cache.add(f"{key}:renewing", True, LADDER_SECONDS)):
        rungs = _climb(frame, lang, measure)
        cache.set(key, (time.time(), rungs), LADDER_KEPT)
    return rungs


def _climb(frame: Frame, lang: str, measure: str) -> list[Rung]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT place, score, person_id::text FROM (
                SELECT row_number() OVER (ORDER BY {measure} DESC, person_id) AS place, {measure} AS score, person_id
                FROM leaderboard_standing WHERE frame = %s AND lang = %s AND person_id NOT IN (
                    SELECT id FROM accounts_user WHERE NOT (enabled AND show_on_leaderboard)
                )
            ) AS board WHERE place %% %s = 0 ORDER BY place
            """,
            [frame.value, lang, RUNG],
        )
        return cursor.fetchall()


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
""".strip()
_WORK = [kind.value for kind in (Happening.Kind.MESSAGE_POSTED, Happening.Kind.MESSAGE_REVIEWED)]
_WORK.append(Happening.Kind.REPLIES_RANKED.value)


def own_counts(person: User, *, lang: str = "", frames: Iterable[Frame] = Frame) -> dict[Frame, Counts]:
    """What a person did in each frame, with what the scores have not read yet. One statement.

    The unread is new work, so it is in every frame, and what became of it is open.
    """
    wanted = list(frames)
    facts = {"person": person.pk, "lang": lang, "frames": [frame.value for frame in wanted], "work": _WORK}
    found: dict[str, Counts] = {
        frame: Counter(dict(zip(COUNTERS, numbers, strict=True))) for frame, *numbers in prepared.read(_OWN, facts)
    }
    unread = found.pop("")
    unread["provisional"] = sum(worth(kind, number) for kind, number in unread.items())
    return {frame: found.get(frame.value, Counter()) + unread for frame in wanted}


def troll_board(frame: Frame, *, enabled: bool | None = None, size: int = 100) -> QuerySet[TrollStanding]:
    """The moderators' board, most complaints first. It shows everybody."""
    rows: QuerySet[Any] = TrollStanding.objects.filter(frame=frame.value).select_related("person")
    if enabled is not None:
        rows = rows.filter(person__enabled=enabled)
    return rows.order_by("-score", "person_id")[:size]
