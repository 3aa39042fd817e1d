"""Rebuilding tallies and boards from the data set, and finding where they differ from it."""

from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from leaderboard import hot, streaks, tallies
from leaderboard.levels import THRESHOLDS
from leaderboard.models import MEASURES, Counted, Horizon
from leaderboard.scoring import Counts, counts_of
from leaderboard.time_frames import Frame
from oasst.accounts.models import User
from trees.models import Happening, MessageTree

BATCH = 500  # trees


def rebuild() -> int:
    """Delete all counts and count every tree again; return the number of trees. One transaction, so users see the old
    boards until the new ones are complete."""
    with transaction.atomic(durable=True):
        tallies.lock()
        # Marked first: later events are read again, and counting a tree twice changes nothing.
        Happening.objects.filter(tallied=False).update(tallied=True)
        since = tallies.horizons()
        tallies.delete_all()
        Horizon.objects.bulk_create([Horizon(name=name, since=moment) for name, moment in since.items()])
        number = 0
        for batch in _batches():
            hot.store_tree_counts({tree_id: tallies.pack(counts) for tree_id, counts in counts_of(batch).items()})
            number += len(batch)
        _sum_up()
        note_all_as_risen()
        streaks.recompute_streaks(User.objects.all())
    return number


def _batches() -> Iterator[list[UUID]]:
    ids = MessageTree.objects.order_by("pk").values_list("pk", flat=True)
    batch = list(ids[:BATCH])
    while batch:
        yield batch
        batch = list(ids.filter(pk__gt=batch[-1])[:BATCH])


Difference = tuple[str, str, str]


def differences() -> Iterator[Difference]:
    """Yield (subject, expected, found) for each tree whose counts do not follow from its data, each tally that is not
    the sum of its trees, each board entry that is not the sum of its tallies, and each place that differs from its
    entry.

    Trees with events that were not counted yet are left out.
    """
    for batch in _batches():
        yield from _miscounted(batch)
    # One snapshot for each statement: writers commit tallies and boards together.
    for statement, parameters in ((_TALLY_DIFFERENCES, {}), *_board_statements(), (_PLACE_DIFFERENCES, {})):
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            rows = cursor.fetchall()
        yield from rows


def _miscounted(batch: list[UUID]) -> list[Difference]:
    with transaction.atomic():
        tallies.lock()
        fresh = counts_of(batch)
        stored = {row.tree_id: tallies.unpack(row.counts) for row in Counted.objects.filter(pk__in=batch)}
        # Last, so that it contains the events of everything that was counted above.
        uncounted = set(Happening.objects.filter(tallied=False, tree__in=batch).values_list("tree_id", flat=True))
    return [
        (f"tree {tree_id}", _words(fresh[tree_id] - counted), _words(counted - fresh[tree_id]))
        for tree_id in batch
        if (counted := stored.get(tree_id, Counter())) != fresh[tree_id] and tree_id not in uncounted
    ]


def _words(counts: Counts) -> str:
    return "; ".join(f"{number} {kind} of {person}" for (person, _, _, kind), number in counts.items()) or "no more"


# SQL by hand: the ORM has no INSERT of a SELECT, no FULL JOIN and no GROUPING SETS, and the rows are too many to load.

# The tallies as they must be by the counts of each tree.
_TALLIES = """
    WITH counted AS (
        SELECT (one ->> 0)::uuid AS person_id, (one ->> 1)::timestamptz AS hour, one ->> 2 AS lang,
               one ->> 3 AS kind, (one ->> 4)::int AS number
        FROM leaderboard_counted, jsonb_array_elements(counts) AS one
    ), expected AS (
        SELECT person_id, CASE WHEN hour < folded.since THEN date_trunc('day', hour, 'UTC') ELSE hour END AS start,
               CASE WHEN hour < folded.since THEN 'day' ELSE 'hour' END AS grain, lang, kind,
               sum(counted.number) AS number
        FROM counted JOIN leaderboard_horizon folded ON folded.name = 'folded' GROUP BY 1, 2, 3, 4, 5
    )
"""


def _boards(board: hot.BoardTable) -> str:
    """Return a WITH clause for the rows of a table of boards as they must be by the tallies."""
    return f"""
        WITH expected AS (
            SELECT frame.name AS frame, person_id, {board.sums}
            FROM unnest(%(frames)s::text[]) AS frame (name)
            LEFT JOIN leaderboard_horizon horizon ON horizon.name = frame.name
            JOIN leaderboard_tally tally ON tally.start >= coalesce(horizon.since, '-infinity')
            WHERE kind = ANY(%(counters)s) GROUP BY frame.name, {board.groups}
        )
    """


def _parameters(counters: tuple[str, ...]) -> dict[str, Any]:
    return {"frames": [frame.value for frame in Frame], "counters": list(counters)}


def _sum_up() -> None:
    """Fill the empty tallies and boards from the counts of each tree."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '128MB'")
        cursor.execute(f"""
            INSERT INTO leaderboard_tally (person_id, start, grain, lang, kind, number) {_TALLIES}
            SELECT person_id, start, grain, lang, kind, number FROM expected WHERE number <> 0
        """)
        for board in hot.BOARDS:
            names = ", ".join(("frame", "person_id", *board.lang, *board.counters))
            some = " OR ".join(f"{name} <> 0" for name in board.counters)
            statement = f"INSERT INTO {board.table} ({names}) {_boards(board)}"
            cursor.execute(f"{statement} SELECT {names} FROM expected WHERE {some}", _parameters(board.counters))
        scores = ", ".join(MEASURES)
        cursor.execute(f"""
            INSERT INTO leaderboard_place (frame, lang, person_id, {scores})
            SELECT frame, lang, person_id, {scores} FROM leaderboard_standing
        """)
        cursor.execute("ANALYZE leaderboard_place")  # before autovacuum does, for good plans at once


def note_all_as_risen() -> None:
    """Have `oasst.site.notices.levels` look at everybody above level 1 again, because all points were counted anew."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO leaderboard_risen (person_id) SELECT person_id FROM leaderboard_standing
            WHERE frame = 'total' AND lang = '' AND points >= %s {hot.RISEN_AGAIN}
            """,
            [THRESHOLDS[1]],
        )


_TALLY_DIFFERENCES = f"""
    {_TALLIES}
    SELECT concat_ws(' ', 'tally', kind, 'of', person_id, grain, start, lang),
           coalesce(expected.number, 0)::text, coalesce(tally.number, 0)::text
    FROM expected FULL JOIN leaderboard_tally tally USING (person_id, start, grain, lang, kind)
    WHERE expected.number IS DISTINCT FROM tally.number
    LIMIT 1000
"""
# The scores that boards read, from places and moves, compared with the board entries.
_PLACE_DIFFERENCES = f"""
    WITH found AS (
        SELECT frame, lang, person_id, {", ".join(MEASURES)} FROM leaderboard_place
        WHERE (frame, lang, person_id) NOT IN (SELECT frame, lang, person_id FROM leaderboard_moved)
        UNION ALL
        SELECT frame, lang, person_id, {", ".join(MEASURES)} FROM leaderboard_moved WHERE stands
    )
    SELECT concat_ws(' ', 'place', frame, person_id, lang),
           concat_ws(' ', {", ".join(f"entry.{name}" for name in MEASURES)}),
           concat_ws(' ', {", ".join(f"found.{name}" for name in MEASURES)})
    FROM leaderboard_standing entry FULL JOIN found USING (frame, lang, person_id)
    WHERE ({", ".join(f"entry.{name}" for name in MEASURES)})
          IS DISTINCT FROM ({", ".join(f"found.{name}" for name in MEASURES)})
    LIMIT 1000
"""


def _board_statements() -> Iterator[tuple[str, dict[str, Any]]]:
    for board in hot.BOARDS:
        keys = ", ".join(("frame", "person_id", *board.lang))
        yield (
            f"""
            {_boards(board)}
            SELECT concat_ws(' ', '{board.table}', {keys}), to_jsonb(expected)::text, to_jsonb(board)::text
            FROM expected FULL JOIN {board.table} board USING ({keys})
            WHERE ({", ".join(f"expected.{name}" for name in board.counters)})
                  IS DISTINCT FROM ({", ".join(f"board.{name}::bigint" for name in board.counters)})
            LIMIT 1000
            """,
            _parameters(board.counters),
        )
