"""The rules of scoring: which credits the data of a tree gives to whom.

Scores follow every change (a deletion, its undoing, a late verdict), since the tree is counted again and the difference
is added. A rebuild counts in the same way. The cost is proportional to the size of the trees.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any, NamedTuple
from uuid import UUID

from leaderboard.points import FLAGS, MEANS, worth
from leaderboard.time_frames import hour_of
from trees.lifecycle import consensus
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Ranking, Reaction, Review, Role

Key = tuple[UUID, datetime, str, str]
"""User id, hour in UTC, language, kind."""
Counts = Counter[Key]

THOUSAND = 1000
_RANK_KINDS = ("reply_ranked_1", "reply_ranked_2", "reply_ranked_3")
_EMOJIS = {Reaction.RED_FLAG: "red_flags", Reaction.THUMB_UP: "upvotes", Reaction.THUMB_DOWN: "downvotes"}


class Credit(NamedTuple):
    """What one contribution or judgment is worth to one user: the reason for points."""

    person: UUID
    at: datetime
    kind: str
    message: UUID
    number: int = 1


@dataclass(frozen=True)
class _Text:
    id: UUID
    parent: UUID | None
    role: str
    author: UUID | None
    at: datetime
    deleted: bool
    accepted: bool | None
    rank: int | None
    revision: UUID
    emojis: dict[str, int]
    withdrawn: bool

    @property
    def is_gone(self) -> bool:
        """Return True if it counts for nothing any more: it was deleted, or withdrawn and is perhaps only hidden."""
        return self.deleted or self.withdrawn

    @property
    def kind(self) -> str:
        if self.parent is None:
            return "prompts"
        return "replies_assistant" if self.role == Role.ASSISTANT else "replies_prompter"


class _Tree:
    """The messages of one tree, and the credits for it."""

    def __init__(self, lang: str, state: str) -> None:
        self.lang, self.state = lang, State(state)
        self.texts: dict[UUID, _Text] = {}
        self.credits: list[Credit] = []

    def give(self, person: UUID | None, at: datetime, kind: str, message: UUID, number: int = 1) -> None:
        if person is not None and number:
            self.credits.append(Credit(person, at, kind, message, number))

    def count_texts(self) -> None:
        for text in self.texts.values():
            if text.parent is None and self.state == State.ABORTED_LOW_GRADE:
                self.give(text.author, text.at, "spam_prompts", text.id)
            if text.is_gone:
                continue
            self.give(text.author, text.at, text.kind, text.id)
            if text.accepted:
                self.give(text.author, text.at, f"accepted_{text.kind}", text.id)
            elif text.accepted is None:
                self.give(text.author, text.at, "provisional", text.id, worth(text.kind, 1))
            else:
                self.give(text.author, text.at, "rejected", text.id)
            for emoji, kind in _EMOJIS.items():
                self.give(text.author, text.at, kind, text.id, text.emojis.get(emoji, 0))

    def count_review(self, message: UUID, author: UUID, at: datetime, mode: str, revision: UUID, labels: Any) -> None:
        text, kind = self.texts[message], f"labels_{mode}"
        self.give(author, at, kind, message)
        if revision != text.revision:
            return  # the outcome will be about an edited text
        if text.accepted is None:
            self.give(author, at, "provisional", message, worth(kind, 1))
        else:
            agreed = consensus.is_rejecting(labels) != text.accepted
            self.give(author, at, "reviews_agreed" if agreed else "reviews_disagreed", message)

    def count_complaints(self, message: UUID, labels: dict[str, float | None]) -> None:
        text = self.texts[message]
        if text.is_gone:
            return
        for flag in FLAGS:
            # Rounded as in the reference: a half is a yes.
            self.give(text.author, text.at, flag, message, int((labels.get(flag) or 0) + 0.5))
        for name in MEANS:
            if (value := labels.get(name)) is not None:
                self.give(text.author, text.at, f"{name}_sum", message, round(value * THOUSAND))
                self.give(text.author, text.at, f"{name}_number", message)

    def count_ranking(self, parent: UUID, author: UUID, at: datetime, order: list[UUID], not_rankable: bool) -> None:
        self.give(author, at, "rankings_total", parent)
        if not_rankable:
            return  # the order means nothing
        for kind, reply in zip(_RANK_KINDS, order, strict=False):
            text = self.texts.get(reply)
            if text is not None and not text.is_gone:
                self.give(text.author, at, kind, reply)
        if self.state != State.READY_FOR_EXPORT:
            self.give(author, at, "provisional", parent, worth("rankings_total", 1))
        elif (agreed := self._agrees(order)) is not None:
            self.give(author, at, "rankings_agreed" if agreed else "rankings_disagreed", parent)

    def _agrees(self, order: list[UUID]) -> bool | None:
        """Return True if it orders more pairs of replies like the consensus than against it; None if equally many."""
        ranks = [text.rank for reply in order if (text := self.texts.get(reply)) and text.rank is not None]
        balance = sum(1 if better < worse else -1 for better, worse in combinations(ranks, 2) if better != worse)
        return balance > 0 if balance else None


def credits_of(tree_ids: Iterable[UUID]) -> dict[UUID, tuple[str, list[Credit]]]:
    """Return tree id → (its language, its credits). Four statements for any number of trees."""
    trees = {
        tree_id: _Tree(lang, state)
        for tree_id, lang, state in MessageTree.objects.filter(pk__in=tree_ids).values_list("pk", "lang", "state")
    }
    texts = Message.objects.filter(tree__in=trees).values_list(
        *("tree_id", "pk", "parent_id", "role", "author_id", "created_at", "deleted", "review_result", "rank"),
        *("revision_id", "emojis", "withdrawn"),
    )
    for tree_id, *fields in texts:
        text = _Text(*fields)
        trees[tree_id].texts[text.id] = text
    for tree in trees.values():
        tree.count_texts()
    reviews = Review.by_author.filter(message__tree__in=trees).values_list(
        "message__tree_id", "kind", "message_id", "author_id", "created_at", "mode", "revision_id", "labels"
    )
    for tree_id, kind, message, author, at, mode, revision, labels in reviews:
        # The message was committed after the texts were read; its own outbox event will count it.
        if message not in trees[tree_id].texts:
            continue
        if kind in Review.BY_TASK:  # a check is worth as much as any review, or its author could tell
            trees[tree_id].count_review(message, author, at, mode, revision, labels)
        if kind not in Review.CHECKS:
            trees[tree_id].count_complaints(message, labels)
    rankings = Ranking.objects.filter(parent__tree__in=trees).values_list(
        "parent__tree_id", "parent_id", "author_id", "created_at", "ordered_ids", "not_rankable"
    )
    for tree_id, parent, author, at, order, not_rankable in rankings:
        trees[tree_id].count_ranking(parent, author, at, order, not_rankable)
    return {tree_id: (tree.lang, tree.credits) for tree_id, tree in trees.items()}


def counts_of(tree_ids: Iterable[UUID]) -> dict[UUID, Counts]:
    """Return tree id → the numbers of each kind by user and hour."""
    by_tree: dict[UUID, Counts] = {}
    for tree_id, (lang, credits) in credits_of(tree_ids).items():
        counts = by_tree[tree_id] = Counter()
        hours: dict[datetime, datetime] = {}  # a cache, since several credits have the same time
        for person, at, kind, _, number in credits:
            counts[person, hours.get(at) or hours.setdefault(at, hour_of(at)), lang, kind] += number
    return by_tree


def trees_of(person_ids: Iterable[UUID]) -> set[UUID]:
    """Return every tree in which these users did anything, even if it was deleted. One statement."""
    people = list(person_ids)
    # The base managers, since the default managers leave out judgments that were set aside.
    tree_ids = (
        Message._base_manager.filter(author__in=people).order_by().values_list("tree_id"),
        Review._base_manager.filter(author__in=people).values_list("message__tree_id"),
        Ranking._base_manager.filter(author__in=people).values_list("parent__tree_id"),
        Reaction._base_manager.filter(author__in=people).values_list("message__tree_id"),
    )
    return {tree_id for (tree_id,) in tree_ids[0].union(*tree_ids[1:])} if people else set()
