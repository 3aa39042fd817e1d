"""Apply a changed policy to running trees, one tree at a time, when an operator asks for it.

Sizes are copied into each tree when it is made; a tree sees a changed number of reviews or rankings at its next event.
Decisions stay: the event of each records its rule. A tree that has grown beyond the new sizes keeps what it has.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from trees.lifecycle import demand, transitions
from trees.lifecycle.locked_tree import LockedTree, lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import ACTIVE, State
from trees.models import MessageTree, Opening

# In these states the sizes still matter; a halted tree may return to one of them.
SIZED = frozenset({State.INITIAL_PROMPT_REVIEW, State.PROMPT_LOTTERY_WAITING, State.GROWING})
SIZES = {"goal_tree_size": "goal_tree_size", "max_depth": "max_tree_depth", "max_children_count": "max_children_count"}
"""Columns of a tree, and the rule that each is copied from."""
AFFECTED = ACTIVE | SIZED | {State.HALTED_BY_MODERATOR}


@dataclass(frozen=True)
class PolicyChange:
    """What the present policy changes in one tree."""

    tree: UUID
    before: State
    after: State
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # column → before, after
    accepted: int = 0  # messages whose reviews suffice now
    rejected: int = 0
    reopened: int = 0  # messages that nobody was asked about any more, and somebody is now
    opened: int = 0
    dropped: int = 0

    @property
    def decided(self) -> int:
        return self.accepted + self.rejected

    @property
    def has_changes(self) -> bool:
        return bool(self.sizes or self.decided or self.opened or self.dropped or self.before != self.after)


def running_trees(lang: str = "") -> QuerySet[MessageTree]:
    """Return the trees that a policy may still change, of this language or of all, in order of arrival."""
    trees = MessageTree.objects.filter(state__in=[state.value for state in AFFECTED]).order_by("number")
    return trees.filter(lang=lang) if lang else trees


def apply_policy(
    *,
    tree_id: UUID,
    policy: TreePolicy,
    dry_run: bool = False,
    land: Callable[[PolicyChange], object] = lambda change: None,
) -> PolicyChange:
    """Apply the policy to one tree and advance it. `dry_run` does the same and rolls back, so it is exact.

    `land` is called in the same transaction: what it stores is stored with the change or not at all.
    """
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        before, openings_before = locked.state, _count_openings(tree_id)
        undecided = [message for message in locked.messages.values() if message.review_result is None]
        sizes = _copy_sizes(locked)
        transitions.advance(locked)
        openings_after = _count_openings(tree_id)
        asked_before = {message_id for message_id, _work in openings_before}
        change = PolicyChange(
            tree=tree_id,
            before=before,
            after=locked.state,
            sizes=sizes,
            accepted=sum(message.review_result is True for message in undecided),
            rejected=sum(message.review_result is False for message in undecided),
            reopened=len({message_id for message_id, _work in openings_after} - asked_before),
            opened=(openings_after - openings_before).total(),
            dropped=(openings_before - openings_after).total(),
        )
        land(change)
        transaction.set_rollback(dry_run)
        return change


def _count_openings(tree_id: UUID) -> Counter[tuple[UUID, str]]:
    return Counter(Opening.objects.filter(tree=tree_id).values_list("message_id", "work"))


def follow_language(locked: LockedTree, *, before: TreePolicy) -> None:
    """Copy the sizes of the tree's new language where they differ from those of the policy `before`, which held in its
    former one. The caller goes on to `transitions.advance`.
    """
    after = locked.policy
    if differing := [column for column, rule in SIZES.items() if getattr(after, rule) != getattr(before, rule)]:
        _copy_sizes(locked, differing)


def _copy_sizes(locked: LockedTree, columns: Iterable[str] = tuple(SIZES)) -> dict[str, tuple[int, int]]:
    """Copy sizes of the policy to the tree, as far as what is there and being written allows. Return the changes."""
    tree, policy = locked.tree, locked.policy
    if State(tree.halted_from or tree.state) not in SIZED:
        return {}
    goal, children = demand.sizes_at_least(locked, goal=policy.goal_tree_size, children=policy.max_children_count)
    depth = demand.depth_at_least(locked, policy.max_tree_depth)
    new = {"goal_tree_size": goal, "max_children_count": children, "max_depth": depth}
    changed = {name: (getattr(tree, name), new[name]) for name in columns if getattr(tree, name) != new[name]}
    for name, (_, value) in changed.items():
        setattr(tree, name, value)
    if changed:
        tree.save(update_fields=list(changed))
    return changed
