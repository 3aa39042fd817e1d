"""Keeping tallies and boards up to date: counting outbox events, moving the frames on, folding hours into days.

Only one writer at a time, under one advisory lock: the work takes milliseconds, and many trees add to the same rows.
Functions that take the lock are one transaction each, and safe to run twice at the same time.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from leaderboard import hot, shown_points, streaks, time_frames
from leaderboard.models import Counted, Horizon, Moved, Place, Standing, Tally, TrollStanding
from leaderboard.points import COUNTERS
from leaderboard.scoring import Counts, counts_of
from leaderboard.time_frames import Frame
from oasst.core.locks import advisory_lock
from trees.models import Happening

BATCH = 200  # events
MAX_MOVED = 200
"""Users of one board in `Moved` before the board is put in order: each read of the board reads them all."""
FOLD_AFTER = timedelta(hours=48)
Horizons = dict[str, datetime]


def lock() -> None:
    """Lock tallies and boards for writing until the open transaction ends."""
    advisory_lock("leaderboard")


def read_outbox(*, limit: int = BATCH) -> int:
    """Count events that were not counted yet; return how many. Ten statements at most."""
    with transaction.atomic(durable=True):
        lock()
        rows = list(Happening.objects.filter(tallied=False).order_by("pk")[:limit])
        if rows:
            count_trees({row.tree_id for row in rows if row.tree_id is not None})
            streaks.record_work(
                (row.actor_id, row.at) for row in rows if row.actor_id is not None and row.kind in Happening.WORK
            )
            Happening.objects.filter(pk__in=[row.pk for row in rows]).update(tallied=True)
            hot.put_in_order(when_more_than=MAX_MOVED)
    return len(rows)


def count_trees(tree_ids: set[UUID]) -> None:
    """Count these trees and add the changes since they were last counted. The caller holds the lock."""
    fresh = counts_of(tree_ids)
    before = {row.tree_id: row.counts for row in Counted.objects.filter(pk__in=tree_ids)}
    change: Counts = Counter()
    for tree_id in tree_ids:
        change.update(fresh.get(tree_id, Counter()))
        change.subtract(unpack(before.get(tree_id, ())))
    if change := Counter({key: number for key, number in change.items() if number}):
        hot.store_tree_counts({tree_id: pack(fresh.get(tree_id, Counter())) for tree_id in tree_ids})
        add_change(change, horizons())
        people = {person for person, *_ in change}
        transaction.on_commit(lambda: shown_points.forget(people))


def pack(counts: Counts) -> list[list[Any]]:
    """Return the counts as they are stored in `Counted`."""
    return [[str(person), hour.isoformat(), *rest, number] for (person, hour, *rest), number in counts.items()]


def unpack(packed: Iterable[Sequence[Any]]) -> Counts:
    return Counter(
        {(UUID(person), datetime.fromisoformat(hour), lang, kind): n for person, hour, lang, kind, n in packed}
    )


def add_change(change: Counts, since: Horizons) -> None:
    """Add to tallies and boards. `since` holds the start of each frame and the end of the folded days."""
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
    hot.add_tallies(tallies)
    hot.add_to_board(hot.STANDINGS, boards)
    hot.add_to_board(hot.TROLLS, trolls)


# --- Changes with time ---


def horizons() -> Horizons:
    """Return the stored start of each frame, and the end of the folded days. The caller holds the lock.

    Stored, not computed from the clock, so that `advance_frames` later subtracts exactly what was added.
    """
    stored = dict(Horizon.objects.values_list("name", "since"))
    if not stored:
        stored = horizons_at(timezone.now())
        Horizon.objects.bulk_create([Horizon(name=name, since=since) for name, since in stored.items()])
    return stored


def horizons_at(now: datetime) -> Horizons:
    now = now.astimezone(UTC)
    starts = {frame.value: since for frame in Frame if (since := time_frames.since(frame, now)) is not None}
    return starts | {Horizon.FOLDED: time_frames.day_of(now - FOLD_AFTER)}


def advance_frames(now: datetime | None = None) -> int:
    """Subtract from the boards what has left their frames, and fold old hours into days. Return the number of tallies
    that left a frame or were folded."""
    with transaction.atomic(durable=True):
        lock()
        before, after = horizons(), horizons_at(now or timezone.now())
        moved = 0
        for name, since in after.items():
            # Never backwards: the clock of another machine may be behind.
            if before[name] < since:
                if name == Horizon.FOLDED:
                    moved += hot.fold_into_days(before[name], since)
                    hot.recompute_moved()
                else:
                    hot.take_from_boards(name, before[name], since)
                    moved += Tally.objects.filter(start__gte=before[name], start__lt=since).count()
                Horizon.objects.filter(name=name).update(since=since)
        if before != {**before, **after}:
            hot.put_in_order()
    return moved


def order_boards() -> int:
    """Put the boards in order, however few users moved. Return how many places changed."""
    with transaction.atomic(durable=True):
        lock()
        return hot.put_in_order()


# --- Rebuilding ---


def delete_all() -> None:
    """Delete all tallies and boards. The caller holds the lock and fills them again."""
    for model in (Counted, Tally, Standing, Place, Moved, TrollStanding, Horizon):
        model._base_manager.all().delete()
