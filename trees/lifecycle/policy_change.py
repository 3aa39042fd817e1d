"""Apply a changed policy to running trees, one tree at a time, when an operator asks for it.

Sizes are copied into each tree when it is made; a tree sees a changed number of reviews or rankings at its next event.
Decisions stay: the event of each records its rule. A tree that has grown beyond the new sizes keeps what it has.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from django.db import transaction

from trees.lifecycle import demand, transitions
from trees.lifecycle.locked_tree import LockedTree, lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import ACTIVE, State
from trees.models import MessageTree, Opening

# In these states the sizes still matter; a halted tree may return to one of them.
SIZED = frozenset({State.INITIAL_PROMPT_REVIEW, State.PROMPT_LOTTERY_WAITING, State.GROWING})
AFFECTED = ACTIVE | SIZED | {State.HALTED_BY_MODERATOR}


@dataclass(frozen=True)
class PolicyChange:
    """What the present policy changes in one tree."""

    tree: UUID
    before: State
    after: State
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # column → before, after
    decided: int = 0  # messages whose reviews suffice now
    opened: int = 0
    dropped: int = 0

    @property
    def has_changes(self) -> bool:
        return bool(self.sizes or self.decided or self.opened or self.dropped or self.before != self.after)


def running_trees() -> Iterator[UUID]:
    """Yield the ids of trees that a policy may still change, in order of arrival."""
    trees = MessageTree.objects.filter(state__in=[state.value for state in AFFECTED])
    return trees.order_by("number").values_list("pk", flat=True).iterator()


def apply_policy(*, tree_id: UUID, policy: TreePolicy, dry_run: bool = False) -> PolicyChange:
    """Apply the policy to one tree and advance it. `dry_run` does the same and rolls back, so it is exact."""
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        before, openings_before = locked.state, _count_openings(tree_id)
        undecided = sum(message.review_result is None for message in locked.messages.values())
        sizes = _copy_sizes(locked)
        transitions.advance(locked)
        openings_after = _count_openings(tree_id)
        transaction.set_rollback(dry_run)
        return PolicyChange(
            tree=tree_id,
            before=before,
            after=locked.state,
            sizes=sizes,
            decided=undecided - sum(message.review_result is None for message in locked.messages.values()),
            opened=(openings_after - openings_before).total(),
            dropped=(openings_before - openings_after).total(),
        )


def _count_openings(tree_id: UUID) -> Counter[tuple[UUID, str]]:
    return Counter(Opening.objects.filter(tree=tree_id).values_list("message_id", "work"))


def _copy_sizes(locked: LockedTree) -> dict[str, tuple[int, int]]:
    """Copy the sizes of the policy to the tree. Return those that changed."""
    tree, policy = locked.tree, locked.policy
    if State(tree.halted_from or tree.state) not in SIZED:
        return {}
    goal, children = demand.sizes_at_least(locked, goal=policy.goal_tree_size, children=policy.max_children_count)
    depth = max([policy.max_tree_depth, *(message.depth for message in locked.messages.values())])
    new = {"goal_tree_size": goal, "max_children_count": children, "max_depth": depth}
    changed = {name: (getattr(tree, name), value) for name, value in new.items() if getattr(tree, name) != value}
    for name, (_, value) in changed.items():
        setattr(tree, name, value)
    if changed:
        tree.save(update_fields=list(changed))
    return changed
