"""Computing ranks again from the votes: for finished trees after a change of the rules, for trees whose scoring failed.

Outer writers: each tree is one transaction under its lock.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.jobs import one_by_one
from trees.lifecycle import reply_ranks, transitions
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import MessageTree

FIRST_WAIT = timedelta(minutes=10)
LONGEST_WAIT = timedelta(days=1)


@dataclass(frozen=True)
class Reranked:
    """One reply whose rank changes; a rank is 0 for the best, None for none."""

    tree: UUID
    message: UUID
    before: int | None
    after: int | None


def rerank(*, tree_id: UUID, policy: TreePolicy, dry_run: bool = False) -> list[Reranked]:
    """Order the replies of one finished tree from the votes that stand, and say what changed. Others are left alone."""
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        before = {message.pk: message.rank for message in locked.messages.values()}
        transitions.rescore(locked)
        if locked.state == State.READY_FOR_EXPORT:
            locked.changed_messages |= reply_ranks.unrank(
                locked.messages, {m.parent_id for m in locked.messages.values() if m.parent_id and m.rank is not None}
            )
        changed = [
            Reranked(tree_id, message_id, before[message_id], locked.messages[message_id].rank)
            for message_id in sorted(locked.changed_messages)
        ]
        if changed and not dry_run:
            transitions.advance(locked)
        return changed


def retry(*, tree_id: UUID, policy: TreePolicy, reason: str, actor: User | None = None) -> bool:
    """Compute the consensus of a tree whose scoring failed once more. True if it succeeded.

    A failure keeps every vote; why it failed is the reason of the tree's last step.
    """
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        if locked.state != State.SCORING_FAILED:
            return False
        transitions.retry_scoring(locked, reason=reason, actor=actor)
        transitions.advance(locked, actor=actor)
        return locked.state != State.SCORING_FAILED


def failed_trees(*, due_at: datetime | None = None) -> list[UUID]:
    """Trees whose scoring failed, the longest waiting first. With `due_at` those whose next try is due by then: ten
    minutes after the first failure, twice as long after each further one, at most a day.
    """
    failures = Count("transitions", filter=Q(transitions__to_state=State.SCORING_FAILED.value))
    rows = MessageTree.objects.filter(state=State.SCORING_FAILED.value).annotate(failures=failures)
    return [
        tree_id
        for tree_id, since, times in rows.order_by("state_since").values_list("pk", "state_since", "failures")
        if due_at is None or since + min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(times - 1, 20)) <= due_at
    ]


def retry_what_is_due(*, policy: TreePolicy) -> tuple[int, int]:
    """Try again what is due. Returns (tried, succeeded). Raises SomeFailed."""
    due = failed_trees(due_at=timezone.now())
    reason = "Tried again by the clock."
    return len(due), one_by_one(due, lambda tree_id: retry(tree_id=tree_id, policy=policy, reason=reason))
