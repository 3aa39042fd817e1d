"""The statements on scores and boards that run all day, by hand: writing them takes the ORM several times as long as
PostgreSQL takes to answer.

Each has a twin in tests/test_hot.py that says the same by the ORM.
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

from leaderboard.models import MEASURES, Moved, TrollStanding
from leaderboard.points import COMPLAINTS, COUNTERS
from leaderboard.time_frames import Frame
from oasst.accounts.models import User
from oasst.core import prepared
from trees.models import Happening

STREAK = ("streak_started_at", "streak_days", "last_activity_at")


# --- Reading boards ---


@dataclass
class BoardRow:
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


def _all_but(*names: str) -> frozenset[str]:
    """The other fields of a person, which are read when asked for."""
    return frozenset(one.name for one in User._meta.concrete_fields) - {*names}


_NOT_SHOWN = _all_but(
    "id", "display_name", "program_beside", "role", "enabled", "show_on_leaderboard", "time_zone", *STREAK
)
_NOT_WITH_TROLLS = _all_but("id", "display_name", "enabled", "show_on_leaderboard", "deleted_at", "last_activity_at")

# A board is read along the index of the places. Whose place is behind is looked for among those who moved, who are few:
# so a board is right whenever it was put in order (`put_in_order`).
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
_DOWN, _UP = "{measure} DESC, board.person_id", "{measure}, board.person_id DESC"


def _refuse_unknown(measure: str) -> None:
    """It becomes part of a statement."""
    if measure not in MEASURES:
        raise ValueError(f"There is no measure {measure!r}.")


@lru_cache(256)
def _stretch(measure: str, stretch: str, order: str, most: int) -> str:
    """The statement of the first people of a stretch of a board. As numbers in the text, limits tell the planner that
    few rows are wanted, whoever they are."""
    _refuse_unknown(measure)
    inside, order = stretch.format(measure=f"board.{measure}"), order.format(measure=f"board.{measure}")
    facts = {"measure": measure, "person": _PERSON, "stretch": inside, "order": order, "most": int(most)}
    return " UNION ALL ".join(f"({part.format(**facts)})" for part in (_PLACES, _MOVED))


def _read_board(picked: str, facts: dict[str, Any]) -> list[BoardRow]:
    """The rows of those who were picked, best first."""
    return [_row(values) for values in prepared.read(_ROWS.format(picked=picked), facts)]


def _row(values: tuple[Any, ...]) -> BoardRow:
    updated_at, score, *numbers = values[: 2 + len(COUNTERS)]
    person = prepared.as_model(User, values[2 + len(COUNTERS) :], _NOT_SHOWN)
    return BoardRow(person, dict(zip(COUNTERS, numbers, strict=True)), score, updated_at=updated_at)


def board_top(frame: Frame, lang: str, measure: str, *, above: int, start: int, size: int) -> list[BoardRow]:
    """Rows of a board with a score above `above`, best first, equal scores by id, from the one numbered `start`. Who is
    banned or does not want to be seen is left out.
    """
    both = _stretch(measure, "{measure} > %(above)s", _DOWN, start + size)
    picked = f"SELECT * FROM ({both}) AS found ORDER BY score DESC, id LIMIT {int(size)} OFFSET {int(start)}"
    return _read_board(picked, {"frame": frame.value, "lang": lang, "above": above})


def board_around(
    frame: Frame, lang: str, measure: str, *, score: int, person_id: UUID, above: int, below: int, least: int
) -> list[BoardRow]:
    """The person's row with so many above and below it, and perhaps a few more, whose scores are more than `least`.
    Four parts, each the start of a stretch of the index: as one condition it would read all who have the same score.
    """
    parts = (
        ("{measure} = %(score)s AND board.person_id < %(me)s", _UP, above),
        ("{measure} > %(score)s", _UP, above),
        ("{measure} = %(score)s AND board.person_id > %(me)s", _DOWN, below),
        ("{measure} < %(score)s AND {measure} > %(least)s AND board.person_id <> %(me)s", _DOWN, below),
    )
    picked = " UNION ALL ".join(
        [
            f"SELECT %(score)s::int AS score, {_PERSON} FROM accounts_user person WHERE person.id = %(me)s",
            *(_stretch(measure, *part) for part in parts if part[2]),
        ]
    )
    facts = {"frame": frame.value, "lang": lang, "score": score, "me": person_id, "least": least}
    return _read_board(picked, facts)


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


class Wanted(NamedTuple):
    """A rank that is asked for: of `person_id` with `score`, counted on from `place`, which a person with `top` points
    had, the `leader`. `until` is the highest id that is counted among those with the same score as the leader.
    """

    frame: Frame
    place: int
    top: int
    leader: UUID
    until: UUID
    score: int
    person_id: UUID


def count_ranks(lang: str, measure: str, wanted: Collection[Wanted]) -> list[int]:
    """The rank of each."""
    columns = list(map(list, zip(*wanted, strict=True))) or [[] for _ in Wanted._fields]
    names = ("frames", "places", "tops", "leaders", "untils", "scores", "people")
    facts = dict(zip(names, columns, strict=True)) | {"lang": lang, "frames": [one.frame.value for one in wanted]}
    return [int(rank) for (rank,) in prepared.read(_ranks(measure, len(wanted)), facts)]


@lru_cache
def _ranks(measure: str, number: int) -> str:
    """As a number in the text, the limit tells the planner how many standpoints there are. It would expect more of a
    parameter than of a value, and plan the statement anew each time for that, which takes longer than to run it."""
    _refuse_unknown(measure)
    stretches = [one.format(measure=measure) for one in _STRETCHES]
    counts = [_COUNT_PLACES.format(stretch=one) for one in stretches]
    counts.append(_COUNT_MOVED.format(stretch=" OR ".join(stretches)))
    return _RANKS.format(counts=" + ".join(counts), number=int(number))


def every_nth_of_board(frame: Frame, lang: str, measure: str, number: int) -> list[tuple[int, UUID]]:
    """(score, person) of each row of a board whose place is a multiple of `number`, from the top."""
    _refuse_unknown(measure)
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
            ) AS board WHERE place %% %(number)s = 0 ORDER BY place
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


def own_counts(person_id: UUID, lang: str, frames: Iterable[Frame]) -> dict[str, Counter[str]]:
    """Frame → what the person's row has of each of COUNTERS; under "" what the scores have not read yet."""
    facts = {"person": person_id, "lang": lang, "frames": [frame.value for frame in frames], "work": _WORK}
    rows = prepared.read(_OWN, facts)
    return {frame: Counter(dict(zip(COUNTERS, numbers, strict=True))) for frame, *numbers in rows}


_TROLLS = f"""
    SELECT {prepared.columns(TrollStanding, "standing")}, {prepared.columns(User, "person", _NOT_WITH_TROLLS)}
    FROM leaderboard_trollstanding standing JOIN accounts_user person ON person.id = standing.person_id
    WHERE standing.frame = %(frame)s AND person.enabled = ANY(%(enabled)s)
    ORDER BY standing.score DESC, standing.person_id LIMIT {{most}}
""".strip()
_WIDTH = len(TrollStanding._meta.concrete_fields)


def troll_board(frame: Frame, enabled: Collection[bool], size: int) -> list[TrollStanding]:
    """The moderators' board, most complaints first, of people who are (not) banned."""
    found = []
    for values in prepared.read(_TROLLS.format(most=int(size)), {"frame": frame.value, "enabled": [*enabled]}):
        row = prepared.as_model(TrollStanding, values[:_WIDTH])
        row.person = prepared.as_model(User, values[_WIDTH:], _NOT_WITH_TROLLS)
        found.append(row)
    return found


# --- Counting ---


def remember(counts: Mapping[UUID, list[list[Any]]]) -> None:
    """Store what of each tree stands in the tallies. All of it goes as one text: an array of them the driver searches
    for quotes, which takes as long as counting.
    """
    prepared.run(
        """
        INSERT INTO leaderboard_counted (tree_id, counts)
        SELECT (one ->> 0)::uuid, one -> 1 FROM jsonb_array_elements(%s::jsonb) AS one
        ON CONFLICT (tree_id) DO UPDATE SET counts = excluded.counts
        """,
        [json.dumps([[str(tree_id), one] for tree_id, one in counts.items()])],
    )


class BoardTable(NamedTuple):
    """A table of boards, and how it follows from the tallies."""

    table: str
    counters: tuple[str, ...]
    lang: tuple[str, ...]  # its column, where it has one
    groups: str  # by which tallies are summed up for it

    @property
    def sums(self) -> str:
        """The columns of a sum of tallies, but for the person."""
        langs = "coalesce(lang, '') AS lang, " if self.lang else ""
        return langs + ", ".join(
            f"coalesce(sum(number) FILTER (WHERE kind = '{name}'), 0) AS {name}" for name in self.counters
        )


BOARDS = STANDINGS, TROLLS = (
    BoardTable("leaderboard_standing", COUNTERS, ("lang",), "GROUPING SETS ((person_id, lang), (person_id))"),
    BoardTable("leaderboard_trollstanding", COMPLAINTS, (), "person_id"),
)


_TYPES = {"person_id": "uuid", "start": "timestamptz"}


def add_tallies(change: Mapping[tuple[Any, ...], int]) -> None:
    """Add numbers to tallies, by (person, start, grain, language, kind)."""
    columns = ("person_id", "start", "grain", "lang", "kind")
    rows = [(*key, number) for key, number in sorted(change.items()) if number]
    _upsert("leaderboard_tally", columns, ("number",), rows, touched="")


def add_to_board(board: BoardTable, change: Mapping[tuple[Any, ...], Counter[str]]) -> None:
    """Add to rows of a board, by (frame, language where it has one, person)."""
    columns = ("frame", *board.lang, "person_id")
    rows = [(*key, *(by[name] for name in board.counters)) for key, by in sorted(change.items()) if any(by.values())]
    _upsert(board.table, columns, board.counters, rows, touched=", updated_at = now()")


def _upsert(
    table: str,
    columns: tuple[str, ...],
    counters: tuple[str, ...],
    rows: list[tuple[Any, ...]],
    *,
    touched: str,
) -> None:
    """Add the numbers to the rows, make those that are missing, and drop those that came to nothing.

    Two statements: one statement can not see what its own upsert wrote. One where nothing was taken away.
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
    prepared.run(_noting_moves(table, change), values)
    lessened = [row[: len(columns)] for row in rows if min(row[len(columns) :]) < 0]
    if not lessened:
        return
    removal = (
        f"DELETE FROM {table} USING unnest({', '.join(f'%s::{name}[]' for name in types[: len(columns)])}) "
        f"AS touched ({keys}) WHERE ({', '.join(f'{table}.{column}' for column in columns)}) = "
        f"({', '.join(f'touched.{column}' for column in columns)}) AND {_nothing_left(table, counters)}"
    )
    prepared.run(_noting_ends(table, removal), list(map(list, zip(*lessened, strict=True))))


def _nothing_left(table: str, counters: Iterable[str]) -> str:
    return " AND ".join(f"{table}.{name} = 0" for name in counters)


def take_from_boards(frame: str, start: datetime, end: datetime) -> None:
    """Take what the tallies from `start` to `end` have from the rows of this frame, however many they are."""
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
        prepared.run(_noting_moves(table, change), [start, end, list(board.counters), frame])
        removal = f"""
            DELETE FROM {table} WHERE frame = %s AND {_nothing_left(table, board.counters)} AND person_id IN (
                SELECT person_id FROM leaderboard_tally WHERE start >= %s AND start < %s
            )
        """
        prepared.run(_noting_ends(table, removal), [frame, start, end])


def fold_into_days(start: datetime, end: datetime) -> int:
    """The hours from `start` to `end`, both midnights, become days. How many tallies of days that changed."""
    return prepared.run(
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
    """Store the streaks of these people, of those whose changed."""
    prepared.run(
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


# --- What boards are read along ---

_KEYS, _SCORES = "frame, lang, person_id", ", ".join(MEASURES)


def _names(table: str, names: str) -> str:
    return ", ".join(f"{table}.{name}" for name in names.split(", "))


def _noting_moves(table: str, change: str) -> str:
    """The statement, and where those whom it changes stand now. Only standings have places."""
    if table != "leaderboard_standing":
        return change
    return f"""
        WITH changed AS ({change} RETURNING {_names(table, f"{_KEYS}, {_SCORES}")})
        INSERT INTO leaderboard_moved ({_KEYS}, {_SCORES}) SELECT {_KEYS}, {_SCORES} FROM changed
        ON CONFLICT ({_KEYS}) DO UPDATE SET stands = true, ({_SCORES}) = ROW ({_names("excluded", _SCORES)})
    """


def _noting_ends(table: str, change: str) -> str:
    """The statement that removes what came to nothing, and that it stands nowhere: its last move was noted before."""
    if table != "leaderboard_standing":
        return change
    return f"""
        WITH ended AS ({change} RETURNING {_names(table, _KEYS)})
        UPDATE leaderboard_moved moved SET stands = false FROM ended
        WHERE ({_names("moved", _KEYS)}) = ({_names("ended", _KEYS)})
    """


def note_what_nobody_noted() -> None:
    """Once a day, whatever happened: a release that knows no places may have counted beside this one.

    What is noted may be as old as the places are, so it is made anew.
    """
    Moved._base_manager.all().delete()
    prepared.run(
        f"""
        INSERT INTO leaderboard_moved ({_KEYS}, {_SCORES}, stands)
        SELECT {_KEYS}, {", ".join(f"coalesce(standing.{name}, place.{name})" for name in MEASURES)},
               standing.id IS NOT NULL
        FROM leaderboard_standing standing FULL JOIN leaderboard_place place USING ({_KEYS})
        WHERE ({_names("standing", _SCORES)}) IS DISTINCT FROM ({_names("place", _SCORES)})
        """,
        [],
    )


def put_in_order(*, when_more_than: int = -1) -> int:
    """Give those who moved the places that their scores give; returns how many places that were.

    One statement, which changes nothing unless so many people of the largest board moved. The later it is, the less it
    costs: who did ten pieces of work moves once. The caller holds the lock.
    """
    return prepared.run(
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
        )
        SELECT frame FROM moved
        """,
        [when_more_than],
    )
