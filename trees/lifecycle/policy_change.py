"""Letting a changed policy take effect on trees that already run: only when an operator says so, tree by tree.

Sizes were copied into each tree when it was made, and a changed number of reviews or rankings is seen by a tree when it
next moves. What was decided stays decided: each decision names the rule that it was made by. A tree that has grown
beyond the new sizes keeps what it has.
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

# Before these are left, the sizes still matter; a stopped tree may go back to one of them.
SIZED = frozenset({State.INITIAL_PROMPT_REVIEW, State.PROMPT_LOTTERY_WAITING, State.GROWING})
LOOKED_AT = ACTIVE | SIZED | {State.HALTED_BY_MODERATOR}


@dataclass(frozen=True)
class Change:
    """What the present policy changes in one tree."""

    tree: UUID
    before: State
    after: State
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # column → before, after
    decided: int = 0  # messages whose reviews suffice now
    opened: int = 0
    dropped: int = 0

    @property
    def is_any(self) -> bool:
        return bool(self.sizes or self.decided or self.opened or self.dropped or self.before != self.after)


def running_trees() -> Iterator[UUID]:
    """The trees that a policy may still change, in the order in which they came in."""
    trees = MessageTree.objects.filter(state__in=[state.value for state in LOOKED_AT])
    return trees.order_by("number").values_list("pk", flat=True).iterator()


def apply(*, tree_id: UUID, policy: TreePolicy, dry_run: bool = False) -> Change:
    """Let one tree follow the policy and move on. `dry_run` does the same and rolls it back, so it is exact."""
    with transaction.atomic(durable=True):
        locked = lock_tree(tree_id, policy)
        before, open_before = locked.state, _open_places(tree_id)
        undecided = sum(message.review_result is None for message in locked.messages.values())
        sizes = _follow(locked)
        transitions.advance(locked)
        open_after = _open_places(tree_id)
        transaction.set_rollback(dry_run)
        return Change(
            tree=tree_id,
            before=before,
            after=locked.state,
            sizes=sizes,
            decided=undecided - sum(message.review_result is None for message in locked.messages.values()),
            opened=(open_after - open_before).total(),
            dropped=(open_before - open_after).total(),
        )


def _open_places(tree_id: UUID) -> Counter[tuple[UUID, str]]:
    return Counter(Opening.objects.filter(tree=tree_id).values_list("message_id", "work"))


def _follow(locked: LockedTree) -> dict[str, tuple[int, int]]:
    """Give the tree the sizes of the policy. Returns those that changed."""
    tree, policy = locked.tree, locked.policy
    if State(tree.halted_from or tree.state) not in SIZED:
        return {}
    goal, children = demand.at_least(locked, goal=policy.goal_tree_size, children=policy.max_children_count)
    depth = max([policy.max_tree_depth, *(message.depth for message in locked.messages.values())])
    fresh = {"goal_tree_size": goal, "max_children_count": children, "max_depth": depth}
    changed = {name: (getattr(tree, name), value) for name, value in fresh.items() if getattr(tree, name) != value}
    for name, (_, value) in changed.items():
        setattr(tree, name, value)
    if changed:
        tree.save(update_fields=list(changed))
    return changed
