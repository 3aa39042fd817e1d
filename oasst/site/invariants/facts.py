"""The facts of some trees in memory: what the checks compare. A fixed number of statements, whatever the batch."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Count
from django.utils import timezone

from trees.lifecycle import consensus
from trees.lifecycle.consensus import ReviewRule
from trees.lifecycle.locked_tree import LockedTree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.reply_ranks import Vote
from trees.models import (
    Happening,
    Message,
    MessageTree,
    Opening,
    Ranking,
    Reaction,
    Review,
    Skip,
    TreeTransition,
)

Row = TypeVar("Row")


@dataclass
class Given:
    """One review as far as it decides."""

    message_id: UUID
    revision_id: UUID
    rejects: bool
    stands: bool  # no purge set it aside


@dataclass
class TreeFacts:
    tree: MessageTree
    policy: TreePolicy
    messages: dict[UUID, Message] = field(default_factory=dict)
    reviews: dict[UUID, list[Given]] = field(default_factory=lambda: defaultdict(list))  # by message, oldest first
    rankings: list[Vote] = field(default_factory=list)  # without those that a purge set aside
    told: Counter[tuple[UUID | None, str]] = field(default_factory=Counter)  # rankings and skips with those set aside
    # By which a message was decided.
    rules: dict[UUID, set[ReviewRule]] = field(default_factory=lambda: defaultdict(set))
    reactions: Counter[tuple[UUID, str]] = field(default_factory=Counter)
    openings: list[Opening] = field(default_factory=list)
    transitions: list[TreeTransition] = field(default_factory=list)
    happenings: Counter[tuple[UUID | None, str]] = field(default_factory=Counter)

    @property
    def root(self) -> Message | None:
        return self.messages.get(self.tree.pk)

    @property
    def is_imported(self) -> bool:
        return self.root is not None and self.root.imported is not None

    @property
    def is_as_imported(self) -> bool:
        """It came from a file and nothing has moved it since: its state is what the file said."""
        return self.is_imported and len(self.transitions) == 1

    def votes(self, message: Message, *, all_of_them: bool = False) -> list[bool]:
        """For each review of the present text, oldest first, whether it would reject."""
        here = (one for one in self.reviews.get(message.pk, ()) if one.revision_id == message.revision_id)
        return [one.rejects for one in here if one.stands or all_of_them]

    def as_locked_tree(self) -> LockedTree:
        """The tree as the services see it, to ask them what they would do. Nothing of it is written."""
        return LockedTree(
            tree=self.tree,
            policy=self.policy,
            messages=self.messages,
            openings=self.openings,
            now=timezone.now(),
            known_votes={m.pk: self.votes(m) for m in self.messages.values() if m.review_result is None},
        )


def read_batch(policy: TreePolicy, *, after: UUID | None, size: int) -> list[TreeFacts]:
    """The facts of the next `size` trees behind `after`. Eleven statements."""
    trees = MessageTree.objects.order_by("pk")
    if after is not None:
        trees = trees.filter(pk__gt=after)
    return read_trees(policy, trees[:size])


def read_trees(policy: TreePolicy, trees: Iterable[MessageTree]) -> list[TreeFacts]:
    """The facts of these trees."""
    found = {tree.pk: TreeFacts(tree, policy) for tree in trees}
    if found:
        _read_messages(found)
        _read_judgements(found)
        _read_history(found)
    return list(found.values())


def _read_messages(found: dict[UUID, TreeFacts]) -> None:
    for message in Message.objects.filter(tree__in=found).defer("text", "text_digest", "search"):
        found[message.tree_id].messages[message.pk] = message
    for opening in Opening.objects.filter(tree__in=found).order_by("pk"):
        found[opening.tree_id].openings.append(opening)


def _read_judgements(found: dict[UUID, TreeFacts]) -> None:
    reviews = Review.everything.filter(message__tree__in=found, kind=Review.Kind.REVIEW).order_by("created_at", "pk")
    for tree_id, message_id, revision_id, labels, purge in reviews.values_list(
        "message__tree_id", "message_id", "revision_id", "labels", "set_aside"
    ):
        given = Given(message_id, revision_id, consensus.rejects(labels), stands=purge is None)
        found[tree_id].reviews[message_id].append(given)
    rankings = Ranking.everything.filter(parent__tree__in=found).order_by("created_at", "pk")
    for tree_id, parent_id, ordered_ids, not_rankable, purge in rankings.values_list(
        "parent__tree_id", "parent_id", "ordered_ids", "not_rankable", "set_aside"
    ):
        found[tree_id].told[parent_id, Happening.Kind.REPLIES_RANKED.value] += 1
        if purge is None:
            found[tree_id].rankings.append((parent_id, ordered_ids, not_rankable))
    reactions = Reaction.objects.filter(message__tree__in=found).values_list("message__tree_id", "message_id", "emoji")
    for tree_id, message_id, emoji, number in _counted(reactions):
        found[tree_id].reactions[message_id, emoji] = number
    skips = Skip.everything.filter(message__tree__in=found).values_list("message__tree_id", "message_id")
    for tree_id, message_id, number in _counted(skips):
        found[tree_id].told[message_id, Happening.Kind.WORK_SKIPPED.value] = number


def _read_history(found: dict[UUID, TreeFacts]) -> None:
    for move in TreeTransition.objects.filter(tree__in=found).order_by("pk"):
        found[move.tree_id].transitions.append(move)
    happenings = Happening.objects.filter(tree__in=found).values_list("tree_id", "message_id", "kind")
    for tree_id, message_id, kind, number in _counted(happenings):
        found[tree_id].happenings[message_id, kind] = number
    decided = Happening.objects.filter(
        tree__in=found,
        kind__in=[Happening.Kind.MESSAGE_ACCEPTED, Happening.Kind.MESSAGE_REJECTED],
        data__has_key="wanted",
    )
    for tree_id, message_id, data in decided.values_list("tree_id", "message_id", "data"):
        found[tree_id].rules[message_id].add(ReviewRule(data["wanted"], data["threshold"]))


def _counted(rows: Any) -> Iterable[Any]:
    return rows.order_by().annotate(number=Count("pk"))
