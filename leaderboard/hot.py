"""Hand-written SQL for the frequent statements on scores and boards: compiling them takes the ORM several times as long
as PostgreSQL takes to run them.

tests/test_hot.py compares each with an ORM version of it.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from leaderboard.levels import THRESHOLDS
from leaderboard.models import MEASURES, Moved, TrollStanding
from leaderboard.points import COMPLAINTS, COUNTERS, score_of
from leaderboard.time_frames import Frame
from oasst.accounts.models import User
from oasst.core import prepared
from trees.models import Happening

STREAK = ("streak_started_at", "streak_days", "last_activity_at")


# --- Reading boards ---


@dataclass
class BoardRow:
    """A board entry: one user on one board."""

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
    def accepted(self) -> int:
        """Return how many of their texts were accepted."""
        return sum(number for kind, number in self.counts.items() if kind.startswith("accepted_"))

    @property
    def reviews(self) -> int:
        return self.counts["labels_simple"] + self.counts["labels_full"]

    @property
    def points(self) -> int:
        return score_of(self.counts, "points")

    @property
    def quality(self) -> int:
        return score_of(self.counts, "quality")


def _all_but(*names: str) -> frozenset[str]:
    """Return the other fields of a user, which stay deferred."""
    return frozenset(field.name for field in User._meta.concrete_fields) - {*names}


_DEFERRED = _all_but(
    "id", "display_name", "program_beside", "role", "enabled", "show_on_leaderboard", "time_zone", *STREAK
)
_TROLLS_DEFERRED = _all_but("id", "display_name", "enabled", "show_on_leaderboard", "deleted_at", "last_activity_at")

# A board is read by the indexes of Place, except for the few users in Moved, whose scores there are newer. So a board
# is correct no matter when it was put in order (`put_in_order`).
#
# Both parts stop after the last row that is needed. OFFSET 0 keeps the planner from joining otherwise: each place is
# looked up in Moved, and the best of Moved, which has no index, are found before the join with users.
_PLACES = """
    SELECT board.{measure} AS score, {person}
    FROM leaderboard_place board JOIN accounts_user person ON person.id = board.person_id
    WHERE board.frame = %(frame)s AND board.lang = %(lang)s AND {condition}
      AND person.enabled AND person.show_on_leaderboard AND NOT EXISTS (
        SELECT FROM leaderboard_moved moved
        WHERE moved.frame = board.frame AND moved.lang = board.lang AND moved.person_id = board.person_id OFFSET 0
      )
    ORDER BY {order} LIMIT {limit}
"""
_MOVED = """
    SELECT board.{measure} AS score, {person}
    FROM (
        SELECT person_id, {measure} FROM leaderboard_moved board
        WHERE frame = %(frame)s AND lang = %(lang)s AND stands AND {condition} ORDER BY {order} OFFSET 0
    ) AS board JOIN accounts_user person ON person.id = board.person_id
    WHERE person.enabled AND person.show_on_leaderboard
    ORDER BY {order} LIMIT {limit}
"""
_PERSON = prepared.column_list(User, "person", _DEFERRED)
# MATERIALIZED: on small boards the planner repeated the inner query for each row.
_ROWS = f"""
    WITH chosen AS MATERIALIZED ({{chosen}})
    SELECT entry.updated_at, chosen.score, {", ".join(f"entry.{name}" for name in COUNTERS)},
           {prepared.column_list(User, "chosen", _DEFERRED)}
    FROM chosen JOIN leaderboard_standing entry
      ON entry.frame = %(frame)s AND entry.lang = %(lang)s AND entry.person_id = chosen.id
    ORDER BY chosen.score DESC, chosen.id
""".strip()
_DOWN, _UP = "{measure} DESC, board.person_id", "{measure}, board.person_id DESC"


def _refuse_unknown(measure: str) -> None:
    """Raise ValueError for anything but a name of MEASURES: the name becomes part of a statement."""
    if measure not in MEASURES:
        raise ValueError(f"There is no measure {measure!r}.")


@lru_cache(256)
def _range(measure: str, condition: str, order: str, limit: int) -> str:
    """Return the SQL for the first rows of a range of a board. The limit is a literal, so that the planner expects few
    rows."""
    _refuse_unknown(measure)
    condition, order = condition.format(measure=f"board.{measure}"), order.format(measure=f"board.{measure}")
    parts = {"measure": measure, "person": _PERSON, "condition": condition, "order": order, "limit": int(limit)}
    return " UNION ALL ".join(f"({part.format(**parts)})" for part in (_PLACES, _MOVED))


def _read_board(chosen: str, parameters: dict[str, Any]) -> list[BoardRow]:
    """Return the board entries of the users in `chosen`, a SELECT of scores and users, best first."""
    rows = []
    for values in prepared.fetch_rows(_ROWS.format(chosen=chosen), parameters):
        updated_at, score, *numbers = values[: 2 + len(COUNTERS)]
        user = prepared.build_instance(User, values[2 + len(COUNTERS) :], _DEFERRED)
        rows.append(BoardRow(user, dict(zip(COUNTERS, numbers, strict=True)), score, updated_at=updated_at))
    return rows


def read_board_top(frame: Frame, lang: str, measure: str, *, above: int, start: int, size: int) -> list[BoardRow]:
    """Return `size` rows of a board from position `start` on, with scores above `above`, best first, equal scores by
    id. Banned and hidden users are left out.
    """
    both = _range(measure, "{measure} > %(above)s", _DOWN, start + size)
    chosen = f"SELECT * FROM ({both}) AS found ORDER BY score DESC, id LIMIT {int(size)} OFFSET {int(start)}"
    return _read_board(chosen, {"frame": frame.value, "lang": lang, "above": above})


def read_board_around(
    frame: Frame, lang: str, measure: str, *, score: int, person_id: UUID, above: int, below: int, least: int
) -> list[BoardRow]:
    """Return the user's row with at least `above` rows above and `below` rows below it, with scores above `least`.
    Four parts, each the start of a range of the index: one condition would read all rows with the same score.
    """
    parts = (
        ("{measure} = %(score)s AND board.person_id < %(me)s", _UP, above),
        ("{measure} > %(score)s", _UP, above),
        ("{measure} = %(score)s AND board.person_id > %(me)s", _DOWN, below),
        ("{measure} < %(score)s AND {measure} > %(least)s AND board.person_id <> %(me)s", _DOWN, below),
    )
    chosen = " UNION ALL ".join(
        [
            f"SELECT %(score)s::int AS score, {_PERSON} FROM accounts_user person WHERE person.id = %(me)s",
            *(_range(measure, *part) for part in parts if part[2]),
        ]
    )
    parameters = {"frame": frame.value, "lang": lang, "score": score, "me": person_id, "least": least}
    return _read_board(chosen, parameters)


# Counts the users between the rung and a user: by ranges of the index, and in Moved. The score of the rung and that of
# the user are ranges of their own, since users with the same score are ordered by id.
_RANKS = """
    SELECT request.place + 1 + {counts}
    FROM unnest(%(frames)s::text[], %(places)s::int[], %(tops)s::int[], %(leaders)s::uuid[], %(untils)s::uuid[],
                %(scores)s::int[], %(people)s::uuid[])
        WITH ORDINALITY AS request (frame, place, top, leader, until, score, me, number)
    ORDER BY request.number LIMIT {number}
""".strip()
_RANGES = (
    "board.{measure} = request.top AND board.person_id > request.leader AND board.person_id < request.until",
    "board.{measure} < request.top AND board.{measure} > request.score",
    "board.{measure} = request.score AND board.person_id < request.me AND request.top > request.score",
)
_COUNT_PLACES = """(
    SELECT count(*) FROM leaderboard_place board JOIN accounts_user person ON person.id = board.person_id
    WHERE board.frame = request.frame AND board.lang = %(lang)s AND {condition}
      AND person.enabled AND person.show_on_leaderboard AND board.person_id NOT IN (
        SELECT person_id FROM leaderboard_moved WHERE frame = request.frame AND lang = %(lang)s
      )
)"""
_COUNT_MOVED = """(
    SELECT count(*) FROM leaderboard_moved board JOIN accounts_user person ON person.id = board.person_id
    WHERE board.frame = request.frame AND board.lang = %(lang)s AND board.stands AND ({condition})
      AND person.enabled AND person.show_on_leaderboard
)"""


class RankRequest(NamedTuple):
    """A request for the rank of `person_id` with `score`. Counting starts at a rung of the ladder: rank `place`, held
    by the user `leader` with the score `top`. Among users with that score, only ids below `until` count.
    """

    frame: Frame
    place: int
    top: int
    leader: UUID
    until: UUID
    score: int
    person_id: UUID


def count_ranks(lang: str, measure: str, wanted: Collection[RankRequest]) -> list[int]:
    """Return the rank for each request."""
    columns = list(map(list, zip(*wanted, strict=True))) or [[] for _ in RankRequest._fields]
    names = ("frames", "places", "tops", "leaders", "untils", "scores", "people")
    frames = [request.frame.value for request in wanted]
    parameters = dict(zip(names, columns, strict=True)) | {"lang": lang, "frames": frames}
    return [int(rank) for (rank,) in prepared.fetch_rows(_ranks(measure, len(wanted)), parameters)]


@lru_cache
def _ranks(measure: str, number: int) -> str:
    """Return the SQL for this number of ranks. The limit is a literal: with a parameter the planner expects more rows
    and plans again each time, which takes longer than the statement.
    """
    _refuse_unknown(measure)
    ranges = [condition.format(measure=measure) for condition in _RANGES]
    counts = [_COUNT_PLACES.format(condition=condition) for condition in ranges]
    counts.append(_COUNT_MOVED.format(condition=" OR ".join(ranges)))
    return _RANKS.format(counts=" + ".join(counts), number=int(number))


def read_every_nth(frame: Frame, lang: str, measure: str, number: int) -> list[tuple[int, UUID]]:
    """Return (score, user id) of each row of a board whose rank is a multiple of `number`, from the top."""
    _refuse_unknown(measure)
    hidden = "SELECT id FROM accounts_user WHERE NOT (enabled AND show_on_leaderboard)"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT score, person_id FROM (
                SELECT row_number() OVER (ORDER BY score DESC, person_id) AS rank, score, person_id FROM (
                    SELECT {measure} AS score, person_id FROM leaderboard_place
                    WHERE frame = %(frame)s AND lang = %(lang)s AND person_id NOT IN (
                        SELECT person_id FROM leaderboard_moved WHERE frame = %(frame)s AND lang = %(lang)s
                    ) AND person_id NOT IN ({hidden})
                    UNION ALL
                    SELECT {measure}, person_id FROM leaderboard_moved
                    WHERE frame = %(frame)s AND lang = %(lang)s AND stands AND person_id NOT IN ({hidden})
                ) AS found
            ) AS board WHERE rank %% %(number)s = 0 ORDER BY rank
            """,
            {"frame": frame.value, "lang": lang, "number": number},
        )
        return cursor.fetchall()


_OWN = f"""
    SELECT frame, {", ".join(COUNTERS)} FROM leaderboard_standing
    WHERE person_id = %(person)s AND lang = %(lang)s AND frame = ANY(%(frames)s)
    UNION ALL
    SELECT '', {", ".join(f"count(*) FILTER (WHERE kind = '{name}')" for name in COUNTERS)}
    FROM (
        SELECT CASE
            WHEN event.kind = 'replies_ranked' THEN 'rankings_total'
            WHEN event.kind IN ('message_reviewed', 'message_checked') THEN 'labels_' || (event.data ->> 'mode')
            WHEN message.parent_id IS NULL THEN 'prompts'
            ELSE 'replies_' || message.role
        END AS kind
        FROM trees_happening event
        JOIN trees_message message ON message.id = event.message_id
        JOIN trees_messagetree tree ON tree.id = event.tree_id
        WHERE NOT event.tallied AND event.actor_id = %(person)s AND event.kind = ANY(%(work)s)
          AND %(lang)s IN ('', tree.lang)
    ) AS unread
""".strip()
_WORK = [kind.value for kind in Happening.WORK]


def read_own_counts(person_id: UUID, lang: str, frames: Iterable[Frame]) -> dict[str, Counter[str]]:
    """Return frame → the counts in the user's board entry; under "" those of events that are not counted yet."""
    parameters = {"person": person_id, "lang": lang, "frames": [frame.value for frame in frames], "work": _WORK}
    rows = prepared.fetch_rows(_OWN, parameters)
    return {frame: Counter(dict(zip(COUNTERS, numbers, strict=True))) for frame, *numbers in rows}


_TROLLS = f"""
    SELECT {prepared.column_list(TrollStanding, "entry")}, {prepared.column_list(User, "person", _TROLLS_DEFERRED)}
    FROM leaderboard_trollstanding entry JOIN accounts_user person ON person.id = entry.person_id
    WHERE entry.frame = %(frame)s AND person.enabled = ANY(%(enabled)s)
    ORDER BY entry.score DESC, entry.person_id LIMIT {{limit}}
""".strip()
_WIDTH = len(TrollStanding._meta.concrete_fields)


def read_troll_board(frame: Frame, enabled: Collection[bool], size: int) -> list[TrollStanding]:
    """Return rows of the moderators' board, most complaints first, of users whose `enabled` is one of these."""
    rows = []
    for values in prepared.fetch_rows(_TROLLS.format(limit=int(size)), {"frame": frame.value, "enabled": [*enabled]}):
        row = prepared.build_instance(TrollStanding, values[:_WIDTH])
        row.person = prepared.build_instance(User, values[_WIDTH:], _TROLLS_DEFERRED)
        rows.append(row)
    return rows


# --- Counting ---


def store_tree_counts(counts: Mapping[UUID, list[list[Any]]]) -> None:
    """Store the counts of each tree. Sent as one JSON text, since the driver searches each text of an array for quotes,
    which takes as long as counting.
    """
    prepared.execute(
        """
        INSERT INTO leaderboard_counted (tree_id, counts)
        SELECT (counted ->> 0)::uuid, counted -> 1 FROM jsonb_array_elements(%s::jsonb) AS counted
        ON CONFLICT (tree_id) DO UPDATE SET counts = excluded.counts
        """,
        [json.dumps([[str(tree_id), of_tree] for tree_id, of_tree in counts.items()])],
    )


class BoardTable(NamedTuple):
    """A table of boards, and how the tallies are summed up for it."""

    table: str
    counters: tuple[str, ...]
    lang: tuple[str, ...]  # the name of its language column, or empty
    groups: str  # the GROUP BY

    @property
    def sums(self) -> str:
        """Return the columns to select for sums of tallies, without the user."""
        lang = "coalesce(lang, '') AS lang, " if self.lang else ""
        return lang + ", ".join(
            f"coalesce(sum(number) FILTER (WHERE kind = '{name}'), 0) AS {name}" for name in self.counters
        )


BOARDS = STANDINGS, TROLLS = (
    BoardTable("leaderboard_standing", COUNTERS, ("lang",), "GROUPING SETS ((person_id, lang), (person_id))"),
    BoardTable("leaderboard_trollstanding", COMPLAINTS, (), "person_id"),
)


_TYPES = {"person_id": "uuid", "start": "timestamptz"}


def add_tallies(change: Mapping[tuple[Any, ...], int]) -> None:
    """Add numbers to tallies, by (user id, start, grain, language, kind)."""
    columns = ("person_id", "start", "grain", "lang", "kind")
    rows = [(*key, number) for key, number in sorted(change.items()) if number]
    _upsert("leaderboard_tally", columns, ("number",), rows, touched="")


def add_to_board(board: BoardTable, change: Mapping[tuple[Any, ...], Counter[str]]) -> None:
    """Add counts to board entries, by (frame, language if the table has one, user id)."""
    columns = ("frame", *board.lang, "person_id")
    rows = [(*key, *(by[name] for name in board.counters)) for key, by in sorted(change.items()) if any(by.values())]
    _upsert(board.table, columns, board.counters, rows, touched=", updated_at = now()")


def _upsert(
    table: str, columns: tuple[str, ...], counters: tuple[str, ...], rows: list[tuple[Any, ...]], *, touched: str
) -> None:
    """Add the numbers to the rows, insert missing rows, and delete rows whose counters are all 0.

    Two statements, since one cannot see the rows of its own upsert; only one if nothing was subtracted.
    """
    if not rows:
        return
    types = [_TYPES.get(column, "text") for column in columns] + ["int"] * len(counters)
    arrays = ", ".join(f"%s::{name}[]" for name in types)
    names, keys = ", ".join((*columns, *counters)), ", ".join(columns)
    sums = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in counters)
    values = list(map(list, zip(*rows, strict=True)))
    change = (
        f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays}) "
        f"ON CONFLICT ({keys}) DO UPDATE SET {sums}{touched}"
    )
    prepared.execute(_noting_moves(table, change), values)
    lessened = [row[: len(columns)] for row in rows if min(row[len(columns) :]) < 0]
    if not lessened:
        return
    removal = (
        f"DELETE FROM {table} USING unnest({', '.join(f'%s::{name}[]' for name in types[: len(columns)])}) "
        f"AS touched ({keys}) WHERE ({', '.join(f'{table}.{column}' for column in columns)}) = "
        f"({', '.join(f'touched.{column}' for column in columns)}) AND {_nothing_left(table, counters)}"
    )
    prepared.execute(_noting_ends(table, removal), list(map(list, zip(*lessened, strict=True))))


def _nothing_left(table: str, counters: Iterable[str]) -> str:
    return " AND ".join(f"{table}.{name} = 0" for name in counters)


def take_from_boards(frame: str, start: datetime, end: datetime) -> None:
    """Subtract the tallies from `start` to `end` from the board entries of this frame."""
    for board in BOARDS:
        table = board.table
        differences = ", ".join(f"{name} = {table}.{name} - gone.{name}" for name in board.counters)
        change = f"""
            WITH gone AS (
                SELECT person_id, {board.sums} FROM leaderboard_tally
                WHERE start >= %s AND start < %s AND kind = ANY(%s) GROUP BY {board.groups}
            )
            UPDATE {table} SET updated_at = now(), {differences} FROM gone
            WHERE {table}.frame = %s AND {table}.person_id = gone.person_id
                {"".join(f"AND {table}.{name} = gone.{name}" for name in board.lang)}
        """
        prepared.execute(_noting_moves(table, change), [start, end, list(board.counters), frame])
        removal = f"""
            DELETE FROM {table} WHERE frame = %s AND {_nothing_left(table, board.counters)} AND person_id IN (
                SELECT person_id FROM leaderboard_tally WHERE start >= %s AND start < %s
            )
        """
        prepared.execute(_noting_ends(table, removal), [frame, start, end])


def fold_into_days(start: datetime, end: datetime) -> int:
    """Replace the hours from `start` to `end`, both midnights, by days. Return the number of tallies written."""
    return prepared.execute(
        """
        WITH hours AS (
            DELETE FROM leaderboard_tally WHERE grain = 'hour' AND start >= %s AND start < %s
            RETURNING person_id, start, lang, kind, number
        )
        INSERT INTO leaderboard_tally (person_id, start, grain, lang, kind, number)
        SELECT person_id, date_trunc('day', start, 'UTC'), 'day', lang, kind, sum(number)
        FROM hours GROUP BY 1, 2, 4, 5
        ON CONFLICT (person_id, start, grain, lang, kind)
            DO UPDATE SET number = leaderboard_tally.number + excluded.number
        """,
        [start, end],
    )


def store_streaks(people: Collection[User]) -> None:
    """Store the streaks of these users, if they changed."""
    prepared.execute(
        """
        UPDATE accounts_user
        SET streak_started_at = fresh.started, streak_days = fresh.days, last_activity_at = fresh.last
        FROM unnest(%s::uuid[], %s::timestamptz[], %s::int[], %s::timestamptz[]) AS fresh (id, started, days, last)
        WHERE accounts_user.id = fresh.id AND (streak_started_at, streak_days, last_activity_at)
            IS DISTINCT FROM (fresh.started, fresh.days, fresh.last)
        """,
        [
            [person.pk for person in people],
            [person.streak_started_at for person in people],
            [person.streak_days for person in people],
            [person.last_activity_at for person in people],
        ],
    )


# --- Places and moves ---

_KEYS, _SCORES = "frame, lang, person_id", ", ".join(MEASURES)


def _names(table: str, names: str) -> str:
    return ", ".join(f"{table}.{name}" for name in names.split(", "))


def _noting_moves(table: str, change: str) -> str:
    """Let a change of board entries also store the new scores in Moved. Other tables have no places."""
    if table != "leaderboard_standing":
        return change
    return f"""
        WITH changed AS ({change} RETURNING {_names(table, f"{_KEYS}, {_SCORES}")})
        INSERT INTO leaderboard_moved ({_KEYS}, {_SCORES}) SELECT {_KEYS}, {_SCORES} FROM changed
        ON CONFLICT ({_KEYS}) DO UPDATE SET stands = true, ({_SCORES}) = ROW ({_names("excluded", _SCORES)})
    """


def _noting_ends(table: str, change: str) -> str:
    """Let a removal of board entries also mark them in Moved as gone; the change before it stored their rows there."""
    if table != "leaderboard_standing":
        return change
    return f"""
        WITH ended AS ({change} RETURNING {_names(table, _KEYS)})
        UPDATE leaderboard_moved moved SET stands = false FROM ended
        WHERE ({_names("moved", _KEYS)}) = ({_names("ended", _KEYS)})
    """


def recompute_moved() -> None:
    """Compute Moved again from the differences between entries and places. Needed once a day, since an older release
    that does not know places may have counted while this one runs.
    """
    Moved._base_manager.all().delete()
    prepared.execute(
        f"""
        INSERT INTO leaderboard_moved ({_KEYS}, {_SCORES}, stands)
        SELECT {_KEYS}, {", ".join(f"coalesce(entry.{name}, place.{name})" for name in MEASURES)},
               entry.id IS NOT NULL
        FROM leaderboard_standing entry FULL JOIN leaderboard_place place USING ({_KEYS})
        WHERE ({_names("entry", _SCORES)}) IS DISTINCT FROM ({_names("place", _SCORES)})
        """,
        [],
    )


# The update locks the row, so that a reader who deletes it at the same moment waits, and then reads the new points.
RISEN_AGAIN = "ON CONFLICT (person_id) DO UPDATE SET at = now()"


def put_in_order(*, when_more_than: int = -1) -> int:
    """Copy the scores in Moved to Place and empty Moved; return how many rows that were.

    One statement, which changes nothing unless more than `when_more_than` users of the largest board moved. Doing it
    rarely is cheaper, since a user moves once for many contributions. The caller holds the lock.
    """
    return prepared.execute(
        f"""
        WITH moved AS (
            DELETE FROM leaderboard_moved
            WHERE (SELECT count(*) FROM leaderboard_moved WHERE frame = 'total' AND lang = '') > %s
            RETURNING {_KEYS}, {_SCORES}, stands
        ), placed AS (
            INSERT INTO leaderboard_place AS place ({_KEYS}, {_SCORES})
            SELECT {_KEYS}, {_SCORES} FROM moved WHERE stands
            ON CONFLICT ({_KEYS}) DO UPDATE SET ({_SCORES}) = ROW ({_names("excluded", _SCORES)})
            WHERE ({_names("place", _SCORES)}) IS DISTINCT FROM ({_names("excluded", _SCORES)})
        ), ended AS (
            DELETE FROM leaderboard_place place USING moved
            WHERE NOT moved.stands AND ({_names("place", _KEYS)}) = ({_names("moved", _KEYS)})
        ), rose AS (
            INSERT INTO leaderboard_risen (person_id)
            SELECT moved.person_id FROM moved LEFT JOIN leaderboard_place before USING ({_KEYS})
            WHERE moved.stands AND moved.frame = 'total' AND moved.lang = ''
              AND width_bucket(moved.points, %s::int[]) > width_bucket(coalesce(before.points, 0), %s::int[])
            {RISEN_AGAIN}
        )
        SELECT frame FROM moved
        """,
        [when_more_than, list(THRESHOLDS), list(THRESHOLDS)],
    )
