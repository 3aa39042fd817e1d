"""Compute ranks again from the votes: for finished trees after a change of rules, and after a failed scoring.

Outer writers: each tree is one transaction under its lock.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from oasst.core.jobs import run_for_each
from trees.lifecycle import reply_ranks, transitions
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import MessageTree

FIRST_WAIT = timedelta(minutes=10)
LONGEST_WAIT = timedelta(days=1)


@dataclass(frozen=True)
class RankChange:
    """One reply whose rank changes: 0 is the best, None is unranked."""

    tree: UUID
    message: UUID
    before: int | None
    after: int | None


def rerank(*, tree_id: UUID, policy: TreePolicy, dry_run: bool = False) -> list[RankChange]:
    """Rank the replies of a finished tree again from the votes that count. Return the changes."""
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        before = {message.pk: message.rank for message in locked.messages.values()}
        transitions.rescore(locked)
        if locked.state == State.READY_FOR_EXPORT:
            locked.changed_messages |= reply_ranks.reset_unranked(
                locked.messages, {m.parent_id for m in locked.messages.values() if m.parent_id and m.rank is not None}
            )
        changed = [
            RankChange(tree_id, message_id, before[message_id], locked.messages[message_id].rank)
            for message_id in sorted(locked.changed_messages)
        ]
        if changed and not dry_run:
            transitions.advance(locked)
        return changed


def retry(*, tree_id: UUID, policy: TreePolicy, reason: str) -> bool:
    """Compute the consensus again for a tree whose scoring failed. Return True on success.

    A failure keeps every vote; its cause is the reason of the tree's last transition.
    """
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        if locked.state != State.SCORING_FAILED:
            return False
        transitions.retry_scoring(locked, reason=reason)
        transitions.advance(locked)
        return locked.state != State.SCORING_FAILED


def failed_trees(*, due_at: datetime | None = None) -> list[UUID]:
    """Return trees whose scoring failed, the longest waiting first. With `due_at` only those whose retry is due by
    then. The first retry is due after ten minutes; each further wait doubles, up to a day.
    """
    failures = Count("transitions", filter=Q(transitions__to_state=State.SCORING_FAILED.value))
    rows = MessageTree.objects.filter(state=State.SCORING_FAILED.value).annotate(failures=failures)
    return [
        tree_id
        for tree_id, since, count in rows.order_by("state_since").values_list("pk", "state_since", "failures")
        if due_at is None or since + min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(count - 1, 20)) <= due_at
    ]


def retry_due(*, policy: TreePolicy) -> tuple[int, int]:
    """Retry what is due. Return (tried, succeeded). Raise PartialFailure."""
    due = failed_trees(due_at=timezone.now())
    reason = "Tried again by the clock."
    return len(due), run_for_each(due, lambda tree_id: retry(tree_id=tree_id, policy=policy, reason=reason))
