"""Periodic clean-up. Users' work does not depend on it: expired holds count as free by themselves."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.core.cache import cache
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from oasst.core import metrics
from oasst.core.jobs import run_for_each
from tasks.models import Draft, Task
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import ACTIVE
from trees.models import MessageTree, Opening

log = structlog.get_logger(__name__)

BATCH = 500
SWEEP_POSITION_KEY = "tasks.upkeep.swept"  # cache key of the position where the last sweep ended
IDEMPOTENCY_PERIOD = timedelta(days=2)  # how long a repeated request gets the stored answer


def expire_tasks(*, policy: TreePolicy) -> int:
    """Close expired tasks and free their openings; return how many tasks. Safe to run twice at the same time, since
    each run locks its rows. Raise PartialFailure.
    """
    with transaction.atomic(durable=True):
        now = timezone.now()
        claimed = list(
            Task.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(status=Task.Status.OPEN, expires_at__lte=now)
            .order_by("expires_at")
            .values_list("pk", flat=True)[:BATCH]
        )
        Task.objects.filter(pk__in=claimed).update(status=Task.Status.EXPIRED, finished_at=now)
        trees = free_openings(claimed)
    # The tree may not need the work any more that a freed opening offers.
    run_for_each(trees, lambda tree_id: advance_tree(tree_id, policy))
    return len(claimed)


def free_openings(leases: Collection[UUID]) -> list[UUID]:
    """Free the openings that are held for these tasks, in the caller's transaction. Return their trees: the caller must
    advance each, in a transaction of its own.
    """
    # In the order of `trees.lifecycle.transitions`, so that two transactions do not wait for each other.
    held = Opening.objects.select_for_update().filter(lease__in=leases).order_by("pk")
    trees = dict(held.values_list("pk", "tree"))
    Opening.objects.filter(pk__in=trees).update(holder=None, lease=None, held_until=None)
    return sorted(set(trees.values()))


def advance_tree(tree_id: UUID, policy: TreePolicy) -> bool:
    """Advance a tree whose opening became free: it deletes openings that it does not need any more."""
    with transaction.atomic(durable=True):
        return transitions.advance(lock_tree(tree_id, policy))


def advance_active_trees(*, policy: TreePolicy, limit: int = BATCH) -> int:
    """Advance up to two times `limit` active trees and return how many moved: normally 0.

    Every event advances its tree. But an imported file may bring a state that is behind its messages, and a new policy
    may need less than there is: such a tree offers no work but counts towards the limits of its language. First come
    trees without openings, then the longest waiting ones after the end of the last sweep. Raise PartialFailure.
    """
    running = MessageTree.objects.filter(state__in=[state.value for state in ACTIVE])
    idle = running.exclude(Exists(Opening.objects.filter(tree=OuterRef("pk")))).order_by("number")
    tree_ids = dict.fromkeys(idle.values_list("pk", flat=True)[:limit])
    tree_ids |= dict.fromkeys(_next_after_last_sweep(running, limit))
    return run_for_each(tree_ids, lambda tree_id: _move_on(tree_id, policy))


def _move_on(tree_id: UUID, policy: TreePolicy) -> bool:
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        before = locked.state
        moved = transitions.advance(locked)
    if moved:
        metrics.trees_moved_by_sweep.inc()
        log.warning("tree_moved_by_sweep", tree=str(tree_id), before=before, after=locked.state)
    return moved


def _next_after_last_sweep(running: QuerySet[MessageTree], limit: int) -> list[UUID]:
    """Return the next trees in the order of waiting. The cache holds the end of the last sweep; if that is lost, the
    sweep starts again with the longest waiting.
    """
    after = cache.get(SWEEP_POSITION_KEY)
    rows = running.order_by("state_since", "pk")
    if after:
        since, last = datetime.fromisoformat(after[0]), UUID(after[1])
        rows = rows.filter(Q(state_since__gt=since) | Q(state_since=since, pk__gt=last))
    batch = list(rows.values_list("state_since", "pk")[:limit])
    end = [batch[-1][0].isoformat(), str(batch[-1][1])] if len(batch) == limit else None
    cache.set(SWEEP_POSITION_KEY, end, timeout=None)
    return [tree_id for _, tree_id in batch]


def drop_finished_drafts() -> int:
    """Delete the drafts of tasks that are done. Return how many rows were deleted."""
    deleted, _ = Draft.objects.filter(task__status=Task.Status.DONE).delete()
    return deleted
