"""Check the structure of a tree: parents, depths, roles, positions, sizes."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from uuid import UUID

from oasst.site.invariants.difference import Difference
from oasst.site.invariants.facts import TreeFacts
from trees.lifecycle import demand
from trees.models import Happening, Role


def tree_has_its_prompt(facts: TreeFacts) -> Iterator[Difference]:
    if facts.root is None:
        yield Difference("tree_has_its_prompt", f"tree {facts.tree.pk}", "a prompt with the tree's id", "none")


def parent_is_in_the_same_tree(facts: TreeFacts) -> Iterator[Difference]:
    for message in facts.messages.values():
        if message.parent_id is not None and message.parent_id not in facts.messages:
            subject = f"message {message.pk}"
            yield Difference("parent_is_in_the_same_tree", subject, "the tree of its parent", f"tree {facts.tree.pk}")


def depth_follows_the_parent(facts: TreeFacts) -> Iterator[Difference]:
    for message in facts.messages.values():
        parent = facts.messages.get(message.parent_id) if message.parent_id else None
        if parent is not None and message.depth != parent.depth + 1:
            yield Difference(
                "depth_follows_the_parent", f"message {message.pk}", str(parent.depth + 1), str(message.depth)
            )


def roles_alternate(facts: TreeFacts) -> Iterator[Difference]:
    """Roles alternate, except in imported messages."""
    for message in facts.messages.values():
        parent = facts.messages.get(message.parent_id) if message.parent_id else None
        if parent is not None and message.imported is None and message.role == parent.role:
            other = Role.ASSISTANT if parent.role == Role.PROMPTER else Role.PROMPTER
            yield Difference("roles_alternate", f"message {message.pk}", other.value, message.role)


def positions_are_dense(facts: TreeFacts) -> Iterator[Difference]:
    """Positions of siblings have no gaps: the position of a new reply is the number of siblings and must be free."""
    positions: dict[UUID, list[int]] = defaultdict(list)
    for message in facts.messages.values():
        if message.parent_id is not None:
            positions[message.parent_id].append(message.position)
    for parent_id, stored in positions.items():
        if sorted(stored) != list(range(len(stored))):
            yield Difference(
                "positions_are_dense", f"replies to {parent_id}", f"0 to {len(stored) - 1}", str(sorted(stored))
            )


def sizes_are_kept(facts: TreeFacts) -> Iterator[Difference]:
    """A tree has no more messages, replies and levels than it wants. Imported trees may, and so may those with messages
    that a moderator restored or edited, because others may have been written in their stead.
    """
    if any(message.imported is not None or message.edited for message in facts.messages.values()):
        return
    if any(kind == Happening.Kind.MESSAGE_RESTORED for _, kind in facts.events):
        return
    tree, locked = facts.tree, facts.as_locked_tree()
    size = demand.accepted_count(locked)
    if size > tree.goal_tree_size:
        yield Difference("sizes_are_kept", f"tree {tree.pk}", f"at most {tree.goal_tree_size} messages", str(size))
    children: Counter[UUID] = demand.count_replies(locked)
    for message in facts.messages.values():
        limit = tree.max_children_count
        # The limit of replies to assistant messages comes from the policy, which may have changed.
        if message.role == Role.PROMPTER and children[message.pk] > limit:
            yield Difference(
                "sizes_are_kept", f"replies to {message.pk}", f"at most {limit}", str(children[message.pk])
            )
        if message.depth > tree.max_depth:
            yield Difference(
                "sizes_are_kept", f"message {message.pk}", f"depth up to {tree.max_depth}", str(message.depth)
            )


CHECKS = (
    tree_has_its_prompt,
    parent_is_in_the_same_tree,
    depth_follows_the_parent,
    roles_alternate,
    positions_are_dense,
    sizes_are_kept,
)
