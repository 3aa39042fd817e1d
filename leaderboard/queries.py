"""Reading boards. Never writes.

What a person has just done counts for them at once: facts that the scores have not read yet are added to the person's
own row, here and wherever they look.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.core.cache import cache
from django.db import connection

from leaderboard.models import MEASURES, TrollStanding
from leaderboard.points import COUNTERS, KINDS, worth
from leaderboard.time_frames import Frame
from oasst.accounts.models import User
from oasst.core import prepared
from trees.models import Happening

Counts = Counter[str]
STREAK = ("streak_started_at", "streak_days", "last_activity_at")


@dataclass
class Row:
    """One person on one board."""

    person: User
    counts: Mapping[str, int]  # of each of COUNTERS
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


def measure_of(counts: Mapping[str, int], measure: str) -> int:
    """The score that these counts give: what the database computes for whole rows."""
    if measure == "quality":
        return sum(kind.quality * counts[kind.name] for kind in KINDS.values())
    return sum(worth(kind.name, counts[kind.name]) for kind in KINDS.values() if measure in ("points", kind.activity))


def _all_but(*names: str) -> frozenset[str]:
    """The other fields of a person, which are read when asked for."""
    return frozenset(one.name for one in User._meta.concrete_fields) - {*names}


_NOT_SHOWN = _all_but(
    "id", "display_name", "program_beside", "role", "enabled", "show_on_leaderboard", "time_zone", *STREAK
)
_NOT_WITH_TROLLS = _all_but("id", "display_name", "enabled", "show_on_leaderboard", "deleted_at", "last_activity_at")

# By hand: writing the statement took the ORM several times as long as the database takes to answer it.
#
# A board is read along the index of the places. Whose place is behind is looked for among those who moved, who are few:
# so a board is right whenever it was put in order (tallies.put_in_order).
#
# Both parts stop at the last row that is wanted: of places each is looked up among those who moved, and of those who
# moved, who have no index, the best are found before it is asked who they are. OFFSET 0 keeps it so.
_PLACES = """
    SELECT board.{measure} AS score, {person}
    FROM leaderboard_place board JOIN accounts_user person ON person.id = board.person_id
    WHERE board.frame = %(frame)s AND board.lang = %(lang)s AND {stretch}
      AND person.enabled AND person.show_on_leaderboard AND NOT EXISTS (
        SELECT FROM leaderboard_moved moved
        WHERE moved.frame = board.frame AND moved.lang = board.lang AND moved.person_id = board.person_id OFFSET 0
      )
    ORDER BY {order} LIMIT {most}
"""
_MOVED = """
    SELECT board.{measure} AS score, {person}
    FROM (
        SELECT person_id, {measure} FROM leaderboard_moved board
        WHERE frame = %(frame)s AND lang = %(lang)s AND stands AND {stretch} ORDER BY {order} OFFSET 0
    ) AS board JOIN accounts_user person ON person.id = board.person_id
    WHERE person.enabled AND person.show_on_leaderboard
    ORDER BY {order} LIMIT {most}
"""
_PERSON = prepared.columns(User, "person", _NOT_SHOWN)
# Materialized: with few people on a board the planner picked the few once for each of them.
_ROWS = f"""
    WITH picked AS MATERIALIZED ({{picked}})
    SELECT standing.updated_at, picked.score, {", ".join(f"standing.{name}" for name in COUNTERS)},
           {prepared.columns(User, "picked", _NOT_SHOWN)}
    FROM picked JOIN leaderboard_standing standing
      ON standing.frame = %(frame)s AND standing.lang = %(lang)s AND standing.person_id = picked.id
    ORDER BY picked.score DESC, picked.id
""".strip()
DOWN, UP = "{measure} DESC, board.person_id", "{measure}, board.person_id DESC"


@lru_cache(256)
def _stretch(measure: str, stretch: str, order: str, most: int) -> str:
    """The statement of the first people of a stretch of a board. As numbers in the text, limits tell the planner that
    few rows are wanted, whoever they are."""
    if measure not in MEASURES:  # it becomes part of the statement
        raise ValueError(f"There is no measure {measure!r}.")
    inside, order = stretch.format(measure=f"board.{measure}"), order.format(measure=f"board.{measure}")
    facts = {"measure": measure, "person": _PERSON, "stretch": inside, "order": order, "most": int(most)}
    return " UNION ALL ".join(f"({part.format(**facts)})" for part in (_PLACES, _MOVED))


def _read(picked: str, facts: dict[str, Any]) -> list[Row]:
    """The rows of those who were picked, best first."""
    return [_row(values) for values in prepared.read(_ROWS.format(picked=picked), facts)]


def _row(values: tuple[Any, ...]) -> Row:
    updated_at, score, *numbers = values[: 2 + len(COUNTERS)]
    person = prepared.as_model(User, values[2 + len(COUNTERS) :], _NOT_SHOWN)
    return Row(person, dict(zip(COUNTERS, numbers, strict=True)), score, updated_at=updated_at)


def top(
    frame: Frame, *, lang: str = "", measure: str = "points", above: int = -1_000_000, start: int = 0, size: int = 100
) -> list[Row]:
    """Rows of a board with a score above `above`, best first, equal scores by id. Who is banned or does not want to be
    seen is left out. One statement."""
    both = _stretch(measure, "{measure} > %(above)s", DOWN, start + size)
    picked = f"SELECT * FROM ({both}) AS found ORDER BY score DESC, id LIMIT {int(size)} OFFSET {int(start)}"
    rows = _read(picked, {"frame": frame.value, "lang": lang, "above": above})
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
    result.around = around(frame, lang, measure, result.mine)
    return result


ABOVE, BELOW = 1, 2  # rows shown around one's own


def around(
    frame: Frame, lang: str, measure: str, mine: Row, *, above: int = ABOVE, below: int = BELOW, least: int = 0
) -> list[Row]:
    """Own row, whose rank is known, with so many just above and below it whose scores are more than `least`. One
    statement of four parts, each the start of a stretch of the index: as one condition it would read all who have the
    same score.
    """
    parts = (
        ("{measure} = %(score)s AND board.person_id < %(me)s", UP, above),
        ("{measure} > %(score)s", UP, above),
        ("{measure} = %(score)s AND board.person_id > %(me)s", DOWN, below),
        ("{measure} < %(score)s AND {measure} > %(least)s AND board.person_id <> %(me)s", DOWN, below),
    )
    picked = " UNION ALL ".join(
        [
            f"SELECT %(score)s::int AS score, {_PERSON} FROM accounts_user person WHERE person.id = %(me)s",
            *(_stretch(measure, *part) for part in parts if part[2]),
        ]
    )
    me = mine.person.pk
    near = _read(picked, {"frame": frame.value, "lang": lang, "score": mine.score, "me": me, "least": least})
    mine.updated_at = next((row.updated_at for row in near if row.person.pk == me), None)
    before = [row for row in near if (-row.score, row.person.pk) < (-mine.score, me)]
    after = [row for row in near if (-row.score, row.person.pk) > (-mine.score, me)][:below]
    before = before[max(0, len(before) - above) :]
    for number, row in enumerate([*before, mine, *after], start=(mine.rank or 1) - len(before)):
        row.rank = number
    return [*before, mine, *after]


RUNG = 100  # places from rung to rung of a ladder
LADDER_SECONDS, LADDER_KEPT = 60, 600
_TOP = 2**31 - 1  # no score is higher
_MARK = 8 + 32  # letters of a rung
_HIGHEST_ID = UUID(int=2**128 - 1)


@dataclass(frozen=True)
class Standpoint:
    """Where somebody stands on the board of one frame."""

    frame: Frame
    score: int
    person_id: UUID


# People between the rung and oneself: stretches of the index, and those who moved since. The rung's own score and one's
# own are stretches by themselves, since people with the same score stand in the order of their ids.
_RANKS = """
    SELECT wanted.place + 1 + {counts}
    FROM unnest(%(frames)s::text[], %(places)s::int[], %(tops)s::int[], %(leaders)s::uuid[], %(untils)s::uuid[],
                %(scores)s::int[], %(people)s::uuid[])
        WITH ORDINALITY AS wanted (frame, place, top, leader, until, score, me, number)
    ORDER BY wanted.number LIMIT {number}
""".strip()
_STRETCHES = (
    "board.{measure} = wanted.top AND board.person_id > wanted.leader AND board.person_id < wanted.until",
    "board.{measure} < wanted.top AND board.{measure} > wanted.score",
    "board.{measure} = wanted.score AND board.person_id < wanted.me AND wanted.top > wanted.score",
)
_COUNT_PLACES = """(
    SELECT count(*) FROM leaderboard_place board JOIN accounts_user person ON person.id = board.person_id
    WHERE board.frame = wanted.frame AND board.lang = %(lang)s AND {stretch}
      AND person.enabled AND person.show_on_leaderboard AND board.person_id NOT IN (
        SELECT person_id FROM leaderboard_moved WHERE frame = wanted.frame AND lang = %(lang)s
      )
)"""
_COUNT_MOVED = """(
    SELECT count(*) FROM leaderboard_moved board JOIN accounts_user person ON person.id = board.person_id
    WHERE board.frame = wanted.frame AND board.lang = %(lang)s AND board.stands AND ({stretch})
      AND person.enabled AND person.show_on_leaderboard
)"""


def rank_of(frame: Frame, lang: str, measure: str, score: int, person_id: UUID) -> int:
    """The place of somebody with this score: one more than those above. One statement."""
    (rank,) = ranks_of(lang, measure, [Standpoint(frame, score, person_id)])
    return rank


def ranks_of(lang: str, measure: str, standpoints: list[Standpoint]) -> list[int]:
    """The place of each. One statement, whatever their number.

    Counted from the next rung of a ladder that is up to a minute old: counting from the top would read as many rows as
    there are people above. So the first places are exact, and those further down as they were a minute ago at worst.
    """
    statement = _ranks(measure, len(standpoints))
    ladders = _ladders({one.frame for one in standpoints}, lang, measure)
    facts: dict[str, Any] = {
        "lang": lang,
        "frames": [one.frame.value for one in standpoints],
        "scores": [one.score for one in standpoints],
        "people": [one.person_id for one in standpoints],
    }
    rungs = [_next_rung(ladders[one.frame], one) for one in standpoints]
    facts["places"], facts["tops"], facts["leaders"] = map(list, zip(*rungs, strict=True)) if rungs else ([], [], [])
    facts["untils"] = [
        one.person_id if one.score == top else _HIGHEST_ID for one, (_, top, _) in zip(standpoints, rungs, strict=True)
    ]
    return [int(rank) for (rank,) in prepared.read(statement, facts)]


@lru_cache
def _ranks(measure: str, number: int) -> str:
    """As a number in the text, the limit tells the planner how many standpoints there are. It would expect more of a
    parameter than of a value, and plan the statement anew each time for that, which takes longer than to run it."""
    if measure not in MEASURES:  # it becomes part of the statement
        raise ValueError(f"There is no measure {measure!r}.")
    stretches = [one.format(measure=measure) for one in _STRETCHES]
    counts = [_COUNT_PLACES.format(stretch=one) for one in stretches]
    counts.append(_COUNT_MOVED.format(stretch=" OR ".join(stretches)))
    return _RANKS.format(counts=" + ".join(counts), number=int(number))


def _mark(score: int, person_id: UUID) -> str:
    """Marks of people have the order of their places. A ladder is one text of them: read from the cache in no time,
    where a list of thousands takes longer than the rest of a page."""
    return f"{_TOP - score:08x}{person_id.hex}"


def _next_rung(ladder: str, standpoint: Standpoint) -> tuple[int, int, UUID]:
    """Place, score and person of the rung next above; without one, a place that is above the board."""
    mine = _mark(standpoint.score, standpoint.person_id)
    number = bisect_left(range(len(ladder) // _MARK), mine, key=lambda at: ladder[at * _MARK : (at + 1) * _MARK])
    if not number:
        return 0, _TOP, _HIGHEST_ID
    rung = ladder[(number - 1) * _MARK : number * _MARK]
    return number * RUNG, _TOP - int(rung[:8], 16), UUID(rung[8:])


def _ladders(of: Iterable[Frame], lang: str, measure: str) -> dict[Frame, str]:
    """Every hundredth row of boards. Renewed once a minute while somebody looks, by one of those who look."""
    # "rungs:…" held lists: a process of an older release that still runs would fail on our texts, and we on its lists.
    keys = {frame: f"ladder:{frame.value}:{lang}:{measure}" for frame in of}
    kept, found = cache.get_many(keys.values()), {}
    for frame, key in keys.items():
        made_at, found[frame] = kept.get(key) or (0, "")
        age = time.time() - made_at
        if age > LADDER_SECONDS and (not made_at or cache.add(f"{key}:renewing", True, LADDER_SECONDS)):
            found[frame] = _climb(frame, lang, measure)
            cache.set(key, (time.time(), found[frame]), LADDER_KEPT)
    return found


def _climb(frame: Frame, lang: str, measure: str) -> str:
    hidden = "SELECT id FROM accounts_user WHERE NOT (enabled AND show_on_leaderboard)"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT score, person_id FROM (
                SELECT row_number() OVER (ORDER BY score DESC, person_id) AS place, score, person_id FROM (
                    SELECT {measure} AS score, person_id FROM leaderboard_place
                    WHERE frame = %(frame)s AND lang = %(lang)s AND person_id NOT IN (
                        SELECT person_id FROM leaderboard_moved WHERE frame = %(frame)s AND lang = %(lang)s
                    ) AND person_id NOT IN ({hidden})
                    UNION ALL
                    SELECT {measure}, person_id FROM leaderboard_moved
                    WHERE frame = %(frame)s AND lang = %(lang)s AND stands AND person_id NOT IN ({hidden})
                ) AS found
            ) AS board WHERE place %% %(rung)s = 0 ORDER BY place
            """,
            {"frame": frame.value, "lang": lang, "rung": RUNG},
        )
        return "".join(_mark(score, person_id) for score, person_id in cursor)


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


_TROLLS = f"""
    SELECT {prepared.columns(TrollStanding, "standing")}, {prepared.columns(User, "person", _NOT_WITH_TROLLS)}
    FROM leaderboard_trollstanding standing JOIN accounts_user person ON person.id = standing.person_id
    WHERE standing.frame = %(frame)s AND person.enabled = ANY(%(enabled)s)
    ORDER BY standing.score DESC, standing.person_id LIMIT {{most}}
""".strip()
_WIDTH = len(TrollStanding._meta.concrete_fields)


def troll_board(frame: Frame, *, enabled: bool | None = None, size: int = 100) -> list[TrollStanding]:
    """The moderators' board, most complaints first. It shows everybody. One statement."""
    facts = {"frame": frame.value, "enabled": [True, False] if enabled is None else [enabled]}
    found = []
    for values in prepared.read(_TROLLS.format(most=int(size)), facts):
        row = prepared.as_model(TrollStanding, values[:_WIDTH])
        row.person = prepared.as_model(User, values[_WIDTH:], _NOT_WITH_TROLLS)
        found.append(row)
    return found
