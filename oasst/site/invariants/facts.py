"""Load the facts of some trees that the checks compare, in a fixed number of statements."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
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


@dataclass
class ReviewVote:
    """What a review contributes to the decision about a message."""

    message_id: UUID
    revision_id: UUID
    vote: consensus.Vote
    counts: bool  # False if a purge set it aside


@dataclass
class TreeFacts:
    tree: MessageTree
    policy: TreePolicy  # of its language
    messages: dict[UUID, Message] = field(default_factory=dict)
    reviews: dict[UUID, list[ReviewVote]] = field(default_factory=lambda: defaultdict(list))  # by message, oldest first
    rankings: list[Vote] = field(default_factory=list)  # without those that a purge set aside
    # Rankings, skips and checks, including those that a purge set aside, by message and kind of event.
    rankings_skips_and_checks: Counter[tuple[UUID | None, str]] = field(default_factory=Counter)
    rules: dict[UUID, set[ReviewRule]] = field(default_factory=lambda: defaultdict(set))  # that decided a message
    reactions: Counter[tuple[UUID, str]] = field(default_factory=Counter)
    openings: list[Opening] = field(default_factory=list)
    transitions: list[TreeTransition] = field(default_factory=list)
    events: Counter[tuple[UUID | None, str]] = field(default_factory=Counter)  # of the outbox, by message and kind

    @property
    def root(self) -> Message | None:
        return self.messages.get(self.tree.pk)

    @property
    def is_imported(self) -> bool:
        return self.root is not None and self.root.imported is not None

    @property
    def is_as_imported(self) -> bool:
        """True if the tree was imported and has not moved since, so it has the state of the file."""
        return self.is_imported and len(self.transitions) == 1

    def votes(self, message: Message, *, include_set_aside: bool = False) -> list[consensus.Vote]:
        """Return the votes on the current text, oldest first."""
        reviews = (review for review in self.reviews.get(message.pk, ()) if review.revision_id == message.revision_id)
        return [review.vote for review in reviews if review.counts or include_set_aside]

    def as_locked_tree(self) -> LockedTree:
        """Return the tree in the form that services take, to compute what they would do. It is not locked or saved."""
        return LockedTree(
            tree=self.tree,
            site_policy=self.policy,
            messages=self.messages,
            openings=self.openings,
            now=timezone.now(),
            known_votes={m.pk: self.votes(m) for m in self.messages.values() if m.review_result is None},
        )


def read_batch(policy: TreePolicy, *, after: UUID | None, size: int) -> list[TreeFacts]:
    """Return the facts of the next `size` trees after the id `after`. Takes eleven statements."""
    trees = MessageTree.objects.order_by("pk")
    if after is not None:
        trees = trees.filter(pk__gt=after)
    return read_trees(policy, trees[:size])


def read_trees(policy: TreePolicy, trees: Iterable[MessageTree]) -> list[TreeFacts]:
    """Return the facts of these trees."""
    facts = {tree.pk: TreeFacts(tree, policy.in_language(tree.lang)) for tree in trees}
    if facts:
        _read_messages(facts)
        _read_judgments(facts)
        _read_history(facts)
    return list(facts.values())


def _read_messages(facts: dict[UUID, TreeFacts]) -> None:
    for message in Message.objects.filter(tree__in=facts).defer("text", "text_digest", "search"):
        facts[message.tree_id].messages[message.pk] = message
    for opening in Opening.objects.filter(tree__in=facts).order_by("pk"):
        facts[opening.tree_id].openings.append(opening)


def _read_judgments(facts: dict[UUID, TreeFacts]) -> None:
    reviews = Review.everything.filter(message__tree__in=facts, kind__in=Review.BY_TASK).order_by("created_at", "pk")
    for tree_id, kind, message_id, revision_id, purge, *columns in reviews.values_list(
        "message__tree_id", "kind", "message_id", "revision_id", "set_aside", "labels", "finds", "spares"
    ):
        if kind in Review.CHECKS:
            facts[tree_id].rankings_skips_and_checks[message_id, Happening.Kind.MESSAGE_CHECKED.value] += 1
            continue
        vote = ReviewVote(message_id, revision_id, consensus.vote_of(*columns), counts=purge is None)
        facts[tree_id].reviews[message_id].append(vote)
    rankings = Ranking.everything.filter(parent__tree__in=facts).order_by("created_at", "pk")
    for tree_id, parent_id, ordered_ids, not_rankable, purge in rankings.values_list(
        "parent__tree_id", "parent_id", "ordered_ids", "not_rankable", "set_aside"
    ):
        facts[tree_id].rankings_skips_and_checks[parent_id, Happening.Kind.REPLIES_RANKED.value] += 1
        if purge is None:
            facts[tree_id].rankings.append((parent_id, ordered_ids, not_rankable))
    reactions = Reaction.objects.filter(message__tree__in=facts).values_list("message__tree_id", "message_id", "emoji")
    for tree_id, message_id, emoji, number in _with_counts(reactions):
        facts[tree_id].reactions[message_id, emoji] = number
    skips = Skip.everything.filter(message__tree__in=facts).values_list("message__tree_id", "message_id")
    for tree_id, message_id, number in _with_counts(skips):
        facts[tree_id].rankings_skips_and_checks[message_id, Happening.Kind.WORK_SKIPPED.value] = number


def _read_history(facts: dict[UUID, TreeFacts]) -> None:
    for transition in TreeTransition.objects.filter(tree__in=facts).order_by("pk"):
        facts[transition.tree_id].transitions.append(transition)
    events = Happening.objects.filter(tree__in=facts).values_list("tree_id", "message_id", "kind")
    for tree_id, message_id, kind, number in _with_counts(events):
        facts[tree_id].events[message_id, kind] = number
    decisions = Happening.objects.filter(
        tree__in=facts,
        kind__in=[Happening.Kind.MESSAGE_ACCEPTED, Happening.Kind.MESSAGE_REJECTED],
        data__has_any_keys=["wanted", "accept_odds"],
    )
    for tree_id, message_id, data in decisions.values_list("tree_id", "message_id", "data"):
        facts[tree_id].rules[message_id].add(consensus.rule_from_data(data))


def _with_counts(rows: Any) -> Iterable[Any]:
    return rows.order_by().annotate(number=Count("pk"))
