"""Tallies and boards, kept up with what happens: reading the outbox, moving the frames on, folding hours into days.

One writer at a time, under one advisory lock: the work is milliseconds, and rows that many trees add to (a person's
day) need no order of locking. Outer writers: each function is one transaction. Safe to run twice and at once.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from leaderboard import hot, streaks, time_frames
from leaderboard.models import Counted, Horizon, Moved, Place, Standing, Tally, TrollStanding
from leaderboard.points import COUNTERS
from leaderboard.scoring import Counts, counts_of
from leaderboard.time_frames import Frame
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
            hot.put_in_order(when_more_than=MOST_MOVED)
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
    hot.remember({tree_id: _pack(one) for tree_id, one in counts.items()})


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
    hot.add_tallies(tallies)
    hot.add_to_board(hot.STANDINGS, boards)
    hot.add_to_board(hot.TROLLS, trolls)


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
                    moved += hot.fold_into_days(before[name], since)
                    hot.note_what_nobody_noted()
                else:
                    hot.take_from_boards(name, before[name], since)
                    moved += Tally.objects.filter(start__gte=before[name], start__lt=since).count()
                Horizon.objects.filter(name=name).update(since=since)
        if before != {**before, **after}:
            hot.put_in_order()
    return moved


def settle() -> int:
    """What the clock does with the few that nobody counted as too many. Returns how many places were due."""
    with transaction.atomic(durable=True):
        lock()
        return hot.put_in_order()


# --- All of it again ---


def forget_all() -> None:
    """Empty the tallies and boards. The caller holds the lock and fills them again."""
    for model in (Counted, Tally, Standing, Place, Moved, TrollStanding, Horizon):
        model._base_manager.all().delete()
