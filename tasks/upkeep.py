"""Cleaning up after time has passed. People's work needs none of it: expired holds count as free by themselves."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.core.cache import cache
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from oasst.core import idempotency, metrics
from oasst.core.jobs import one_by_one
from tasks.models import Draft, Task
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import ACTIVE
from trees.models import MessageTree, Opening

log = structlog.get_logger(__name__)

BATCH = 500
SWEPT = "tasks.upkeep.swept"  # the longest waiting tree that the last sweep looked at
KEEP_ANSWERS = timedelta(days=2)  # how long a repeated request gets its first answer


def expire_tasks(*, policy: TreePolicy) -> int:
    """Close tasks that ran out and free their places; returns how many tasks. Safe to run twice and at once: rows are
    claimed. Raises SomeFailed.
    """
    closed, trees = _close_expired()
    # Whoever held a place may have been the only one who still had a use for it.
    one_by_one(trees, lambda tree_id: look_again(tree_id, policy))
    return closed


def _close_expired() -> tuple[int, list[UUID]]:
    """How many were closed, and the trees in which places came free."""
    with transaction.atomic(durable=True):
        now = timezone.now()
        claimed = list(
            Task.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(status=Task.Status.OPEN, expires_at__lte=now)
            .order_by("expires_at")
            .values_list("pk", flat=True)[:BATCH]
        )
        Task.objects.filter(pk__in=claimed).update(status=Task.Status.EXPIRED, finished_at=now)
        return len(claimed), free_places(claimed)


def free_places(leases: Collection[UUID]) -> list[UUID]:
    """Free what is held for these tasks, in the caller's transaction. Returns the trees that have to `look_again`, each
    in a transaction of its own.
    """
    # Locked in one order, as `trees.lifecycle.transitions` does.
    held = Opening.objects.select_for_update().filter(lease__in=leases).order_by("pk")
    trees = dict(held.values_list("pk", "tree"))
    Opening.objects.filter(pk__in=trees).update(holder=None, lease=None, held_until=None)
    return sorted(set(trees.values()))


def look_again(tree_id: UUID, policy: TreePolicy) -> bool:
    """A place of this tree came free: offer it to others, or let it go where nobody wants this work any more."""
    with transaction.atomic(durable=True):
        return transitions.advance(lock_tree(tree_id, policy))


def move_trees_on(*, policy: TreePolicy, limit: int = BATCH) -> int:
    """Advance trees that count as running, and return how many that moved: the proof that it is not needed.

    Our own trees move with every event. A file may bring a state that is behind its messages, and a new policy may ask
    for less than is there: such a tree offers no work and keeps a place among the growing trees of its language. Trees
    without work come first, then those that wait the longest, from where the last sweep ended. Raises SomeFailed.
    """
    running = MessageTree.objects.filter(state__in=[state.value for state in ACTIVE])
    idle = running.exclude(Exists(Opening.objects.filter(tree=OuterRef("pk")))).order_by("number")
    found = dict.fromkeys(idle.values_list("pk", flat=True)[:limit])
    found |= dict.fromkeys(_next_of(running, limit))
    return one_by_one(found, lambda tree_id: _move_on(tree_id, policy))


def _move_on(tree_id: UUID, policy: TreePolicy) -> bool:
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        before = locked.state
        moved = transitions.advance(locked)
    if moved:
        metrics.trees_moved_by_sweep.inc()
        log.warning("tree_moved_by_sweep", tree=str(tree_id), before=before, after=locked.state)
    return moved


def _next_of(running: QuerySet[MessageTree], limit: int) -> list[UUID]:
    """The next trees in the order of waiting. Where the last sweep ended is kept in the cache: if it is lost, the
    longest waiting are looked at again.
    """
    after = cache.get(SWEPT)
    rows = running.order_by("state_since", "pk")
    if after:
        since, last = datetime.fromisoformat(after[0]), UUID(after[1])
        rows = rows.filter(Q(state_since__gt=since) | Q(state_since=since, pk__gt=last))
    found = list(rows.values_list("state_since", "pk")[:limit])
    end = [found[-1][0].isoformat(), str(found[-1][1])] if len(found) == limit else None
    cache.set(SWEPT, end, timeout=None)
    return [tree_id for _, tree_id in found]


def drop_finished_drafts() -> int:
    """Drafts whose answer was sent are of no use any more."""
    deleted, _ = Draft.objects.filter(task__status=Task.Status.DONE).delete()
    return deleted


def forget_repeated_requests() -> int:
    return idempotency.forget(older_than=KEEP_ANSWERS)
