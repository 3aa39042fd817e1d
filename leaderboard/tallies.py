"""Tallies and boards, kept up with what happens: reading the outbox, moving the frames on, folding hours into days.

One writer at a time, under one advisory lock: the work is milliseconds, and rows that many trees add to (a person's
day) need no order of locking. Outer writers: each function is one transaction. Safe to run twice and at once.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from leaderboard import streaks, time_frames
from leaderboard.models import MEASURES, Counted, Horizon, Moved, Place, Standing, Tally, TrollStanding
from leaderboard.points import COMPLAINTS, COUNTERS
from leaderboard.scoring import Counts, counts_of
from leaderboard.time_frames import Frame
from oasst.core import prepared
from oasst.core.locks import advisory_lock
from trees.models import Happening

BATCH = 200  # happenings
MOST_MOVED = 200
"""People on one board whose place may be behind, until the board is put in order: each look at it reads them all."""
FOLD_AFTER = timedelta(hours=48)
Horizons = dict[str, datetime]


def lock() -> None:
    """Be the one writer until the open transaction ends."""
    advisory_lock("leaderboard")


def read_outbox(*, limit: int = BATCH) -> int:
    """Count what happened and was not counted yet; returns how many facts were read. Ten statements at most."""
    with transaction.atomic(durable=True):
        lock()
        unread = Happening.objects.filter(tallied=False).order_by("pk")
        rows = list(unread[:limit])
        if rows:
            count_trees({row.tree_id for row in rows if row.tree_id is not None})
            streaks.note(
                (row.actor_id, row.at) for row in rows if row.actor_id is not None and row.kind in streaks.WORK
            )
            Happening.objects.filter(pk__in=[row.pk for row in rows]).update(tallied=True)
            put_in_order(when_more_than=MOST_MOVED)
    return len(rows)


def count_trees(tree_ids: set[UUID]) -> None:
    """Count these trees and add what changed since they were counted last. The caller holds the lock."""
    fresh = counts_of(tree_ids)
    before = {one.tree_id: one.counts for one in Counted.objects.filter(pk__in=tree_ids)}
    change: Counts = Counter()
    for tree_id in tree_ids:
        change.update(fresh.get(tree_id, Counter()))
        change.subtract(unpack(before.get(tree_id, ())))
    if change := Counter({key: number for key, number in change.items() if number}):
        remember({tree_id: fresh.get(tree_id, Counter()) for tree_id in tree_ids})
        add(change, horizons())


def remember(counts: Mapping[UUID, Counts]) -> None:
    """All of it goes as one text: an array of them the driver searches for quotes, which takes as long as counting."""
    prepared.run(
        """
        INSERT INTO leaderboard_counted (tree_id, counts)
        SELECT (one ->> 0)::uuid, one -> 1 FROM jsonb_array_elements(%s::jsonb) AS one
        ON CONFLICT (tree_id) DO UPDATE SET counts = excluded.counts
        """,
        [json.dumps([[str(tree_id), _pack(one)] for tree_id, one in counts.items()])],
    )


def _pack(counts: Counts) -> list[list[Any]]:
    return [[str(person), hour.isoformat(), *rest, number] for (person, hour, *rest), number in counts.items()]


def unpack(packed: Iterable[Sequence[Any]]) -> Counts:
    return Counter(
        {(UUID(person), datetime.fromisoformat(hour), lang, kind): n for person, hour, lang, kind, n in packed}
    )


def add(change: Counts, since: Horizons) -> None:
    """Add to tallies and boards. `since` says where the frames begin and up to where hours are folded."""
    tallies: Counter[tuple[Any, ...]] = Counter()
    boards: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    trolls: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for (person, hour, lang, kind), number in change.items():
        folded = hour < since[Horizon.FOLDED]
        start, grain = (time_frames.day_of(hour), Tally.Grain.DAY) if folded else (hour, Tally.Grain.HOUR)
        tallies[person, start, grain.value, lang, kind] += number
        for frame in Frame:
            if frame != Frame.TOTAL and hour < since[frame]:
                continue
            if kind in COUNTERS:
                boards[frame.value, lang, person][kind] += number
                boards[frame.value, "", person][kind] += number
            else:
                trolls[frame.value, person][kind] += number
    _add_tallies(tallies)
    _add_to_board("leaderboard_standing", ("frame", "lang", "person_id"), COUNTERS, boards)
    _add_to_board("leaderboard_trollstanding", ("frame", "person_id"), COMPLAINTS, trolls)


_TYPES = {"person_id": "uuid", "start": "timestamptz"}


def _add_tallies(change: Mapping[tuple[Any, ...], int]) -> None:
    columns = ("person_id", "start", "grain", "lang", "kind")
    rows = [(*key, number) for key, number in sorted(change.items()) if number]
    _upsert("leaderboard_tally", columns, ("number",), rows, touched="")


def _add_to_board(
    table: str,
    columns: tuple[str, ...],
    counters: tuple[str, ...],
    change: Mapping[tuple[Any, ...], Counter[str]],
) -> None:
    rows = [(*key, *(by[name] for name in counters)) for key, by in sorted(change.items()) if any(by.values())]
    _upsert(table, columns, counters, rows, touched=", updated_at = now()")


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
    nothing_left = (
        f"DELETE FROM {table} USING unnest({', '.join(f'%s::{name}[]' for name in types[: len(columns)])}) "
        f"AS touched ({keys}) WHERE ({', '.join(f'{table}.{column}' for column in columns)}) = "
        f"({', '.join(f'touched.{column}' for column in columns)}) AND {_nothing(table, counters)}"
    )
    prepared.run(_noting_ends(table, nothing_left), list(map(list, zip(*lessened, strict=True))))


def _nothing(table: str, counters: Iterable[str]) -> str:
    return " AND ".join(f"{table}.{name} = 0" for name in counters)


# --- What the passing of time changes ---


def horizons() -> Horizons:
    """Where the boards begin now, as far as they were moved. The caller holds the lock.

    Boards are behind the clock until `move_on` has run; what is counted meanwhile goes by where they stand, so that it
    is taken away again when they move.
    """
    found = dict(Horizon.objects.values_list("name", "since"))
    if not found:
        found = horizons_at(timezone.now())
        Horizon.objects.bulk_create([Horizon(name=name, since=since) for name, since in found.items()])
    return found


def horizons_at(now: datetime) -> Horizons:
    now = now.astimezone(UTC)
    found = {frame.value: since for frame in Frame if (since := time_frames.since(frame, now)) is not None}
    found[Horizon.FOLDED] = time_frames.day_of(now - FOLD_AFTER)
    return found


def move_on(now: datetime | None = None) -> int:
    """Take from the boards what has left their frames, then fold old hours into days. Returns the number of tallies
    that left a frame or were folded. Costs as much as there is of that."""
    with transaction.atomic(durable=True):
        lock()
        before, after = horizons(), horizons_at(now or timezone.now())
        moved = 0
        for name, since in after.items():
            # Never back: the clock of another machine may be behind.
            if before[name] < since:
                if name == Horizon.FOLDED:
                    moved += _fold(before[name], since)
                    _note_what_nobody_noted()
                else:
                    moved += _leave(name, before[name], since)
                Horizon.objects.filter(name=name).update(since=since)
        if before != {**before, **after}:
            put_in_order()
    return moved


# Table, its columns of counts, its language column as a sum of tallies has it, and what those are grouped by.
BOARDS = (
    (
        "leaderboard_standing",
        COUNTERS,
        "coalesce(lang, '') AS lang,",
        "GROUPING SETS ((person_id, lang), (person_id))",
    ),
    ("leaderboard_trollstanding", COMPLAINTS, "", "person_id"),
)


def sums_of(counters: Iterable[str]) -> str:
    return ", ".join(f"coalesce(sum(number) FILTER (WHERE kind = '{name}'), 0) AS {name}" for name in counters)


def _leave(frame: str, start: datetime, end: datetime) -> int:
    with connection.cursor() as cursor:
        for table, counters, lang, groups in BOARDS:
            differences = ", ".join(f"{name} = {table}.{name} - gone.{name}" for name in counters)
            leave = f"""
                WITH gone AS (
                    SELECT person_id, {lang} {sums_of(counters)} FROM leaderboard_tally
                    WHERE start >= %s AND start < %s AND kind = ANY(%s) GROUP BY {groups}
                )
                UPDATE {table} SET updated_at = now(), {differences} FROM gone
                WHERE {table}.frame = %s AND {table}.person_id = gone.person_id
                    {f"AND {table}.lang = gone.lang" if lang else ""}
                """
            cursor.execute(_noting_moves(table, leave), [start, end, list(counters), frame])
            nothing_left = f"""
                DELETE FROM {table} WHERE frame = %s AND {_nothing(table, counters)} AND person_id IN (
                    SELECT person_id FROM leaderboard_tally WHERE start >= %s AND start < %s
                )
            """
            cursor.execute(_noting_ends(table, nothing_left), [frame, start, end])
    return Tally.objects.filter(start__gte=start, start__lt=end).count()


def _fold(start: datetime, end: datetime) -> int:
    """Hours from `start` to `end` become days. Both are midnights."""
    with connection.cursor() as cursor:
        cursor.execute(
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
        return cursor.rowcount


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


def _note_what_nobody_noted() -> None:
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


def settle() -> int:
    """What the clock does with the few that nobody counted as too many. Returns how many places were due."""
    with transaction.atomic(durable=True):
        lock()
        return put_in_order()


# --- All of it again ---


def forget_all() -> None:
    """Empty the tallies and boards. The caller holds the lock and fills them again."""
    for model in (Counted, Tally, Standing, Place, Moved, TrollStanding, Horizon):
        model._base_manager.all().delete()
