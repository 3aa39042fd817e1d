"""Cleaning up after time has passed. People's work needs none of it: expired holds count as free by themselves."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from oasst.core import idempotency
from tasks.models import Draft, Task
from trees import transitions
from trees.in_hand import lock_tree
from trees.models import MessageTree, Opening
from trees.policy import TreePolicy
from trees.states import ACTIVE

BATCH = 500
KEEP_ANSWERS = timedelta(days=2)  # how long a repeated request gets its first answer


def expire_tasks(*, limit: int = BATCH) -> int:
    """Close tasks that ran out and free their places. Safe to run twice and at once: rows are claimed."""
    with transaction.atomic(durable=True):
        now = timezone.now()
        claimed = list(
            Task.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(status=Task.Status.OPEN, expires_at__lte=now)
            .order_by("expires_at")
            .values_list("pk", flat=True)[:limit]
        )
        Task.objects.filter(pk__in=claimed).update(status=Task.Status.EXPIRED, finished_at=now)
        # Locked in one order, as `trees.transitions` does.
        held = list(
            Opening.objects.select_for_update().filter(lease__in=claimed).order_by("pk").values_list("pk", flat=True)
        )
        Opening.objects.filter(pk__in=held).update(holder=None, lease=None, held_until=None)
    return len(claimed)


def move_trees_on(*, policy: TreePolicy, limit: int = BATCH) -> int:
    """Advance trees that count as running and offer no work; returns how many moved.

    Our own trees move with every answer. A file may bring a state that is behind its messages, and a new policy may ask
    for less than is there: such a tree waits for an answer that nobody is asked for, and keeps a place among the
    growing trees of its language.
    """
    idle = MessageTree.objects.filter(state__in=[state.value for state in ACTIVE]).exclude(
        Exists(Opening.objects.filter(tree=OuterRef("pk")))
    )
    moved = 0
    for tree_id in idle.order_by("number").values_list("pk", flat=True)[:limit]:
        with transaction.atomic(durable=True):
            hand = lock_tree(tree_id, policy)
            before = hand.state
            transitions.advance(hand)
            moved += hand.state != before
    return moved


def drop_finished_drafts() -> int:
    """Drafts whose answer was sent are of no use any more."""
    deleted, _ = Draft.objects.filter(task__status=Task.Status.DONE).delete()
    return deleted


def forget_repeated_requests() -> int:
    return idempotency.forget(older_than=KEEP_ANSWERS)
