"""Some trees as a snapshot freezes them: what may be published of each, under pseudonyms. A few statements a batch."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import F

from trees.interchange.export_facts import SKIP_EMOJIS, toxicity_of
from trees.interchange.export_json import Judgments, Writer, values_by_label
from trees.interchange.flat import Misfits, with_constant_keys
from trees.interchange.format import Node
from trees.interchange.near_duplicates import NearDuplicates, SimilarityCounts
from trees.interchange.pseudonyms import Pseudonyms
from trees.interchange.snapshots.bases import Agreements, LeftOut, Vouching, basis_of
from trees.interchange.snapshots.filters import Filters
from trees.interchange.topics import TopicCounts
from trees.interchange.tree_record import TreeRecord
from trees.models import Message, MessageTree, Ranking, Review, Skip


@dataclass
class Tally:
    """What a snapshot has, and what it leaves out and why."""

    has: Counter[str] = field(default_factory=Counter)
    """Trees, messages, single reviews and rankings; and `counted_reviews`, of which the messages say only how many
    decided about them.
    """
    bases: Counter[str] = field(default_factory=Counter)  # of messages
    languages: Counter[str] = field(default_factory=Counter)  # of messages
    left_out: dict[str, Counter[str]] = field(
        default_factory=lambda: {"trees": Counter(), "messages": Counter(), "reviews": Counter(), "rankings": Counter()}
    )
    misfits: Misfits = field(default_factory=Counter)
    topics: TopicCounts = field(default_factory=TopicCounts)
    similarity: SimilarityCounts = field(default_factory=SimilarityCounts)

    def as_json(self) -> dict[str, Any]:
        return {
            "has": _sorted(self.has),
            "bases": _sorted(self.bases),
            "languages": _sorted(self.languages),
            "left_out": {kind: _sorted(reasons) for kind, reasons in self.left_out.items()},
            "unreadable_values": _sorted(self.misfits),
            "topics": self.topics.as_json(),
            "near_duplicates": self.similarity.as_json(),
        }


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return {str(name): number for name, number in sorted(counter.items()) if number}


@dataclass(frozen=True)
class Rules:
    """What holds for all trees of a snapshot."""

    filters: Filters
    cutoff: datetime
    pseudonyms: Pseudonyms
    vouching: Mapping[UUID, Vouching]  # API clients that vouch for their people
    compared: NearDuplicates

    def fate_of(self, message: Message, tree: MessageTree, text_since: datetime) -> str | LeftOut:
        """Return the basis of a message that the snapshot takes in, or why it leaves it out.

        `text_since` is the moment from which on it has had its present text.
        """
        if message.withdrawn:
            return LeftOut.WITHDRAWN
        if message.deleted:
            return LeftOut.DELETED
        if message.hidden:  # until a moderator decides
            return LeftOut.HIDDEN
        if message.created_at >= self.cutoff:
            return LeftOut.LATER
        if message.edited and text_since >= self.cutoff:  # its former text may have been taken out for a good reason
            return LeftOut.EDITED_LATER
        if message.review_result is False and not self.filters.rejected:
            return LeftOut.REJECTED
        # A file may not say what reviewers decided; then it counts as accepted.
        if message.review_result is None and message.imported is None and not self.filters.rejected:
            return LeftOut.UNDECIDED
        return basis_of(message, tree, self.vouching)


class Batch:
    """Some trees with everything to freeze of them, in memory. `tally` counts what is taken in and left out.

    Eleven statements, twelve if API clients vouch for people.
    """

    def __init__(self, trees: Sequence[MessageTree], rules: Rules, tally: Tally) -> None:
        self._trees, self._rules, self._tally = trees, rules, tally
        self._bases: dict[UUID, str] = {}  # of the messages that are taken in
        self._children: dict[UUID, dict[UUID | None, list[Message]]] = {}
        self._messages: dict[UUID, Message] = {}
        self._choose_messages()
        self._ids = {pk: rules.pseudonyms.pseudonym("message", str(pk)) for pk in self._bases}
        reviews, rankings = self._read_reviews(), self._read_rankings()
        user_ids = {review.author_id for review in reviews} | {ranking.author_id for ranking in rankings}
        self._agreements = Agreements(user_ids, rules.vouching)
        self._users = {pk: rules.pseudonyms.pseudonym("user", str(pk)) for pk in user_ids}
        self._reviews: dict[UUID, list[Review]] = defaultdict(list)
        for review in reviews:
            if self._takes_in_review(review):
                self._reviews[review.message_id].append(review)
        self._rankings: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
        for ranking in rankings:
            if row := self._ranking_row(ranking):
                self._rankings[self._messages[ranking.parent_id].tree_id].append(row)
        self._writer = Writer(judgments=self._judgments(), pseudonyms=rules.pseudonyms)

    def records(self) -> Iterator[TreeRecord]:
        """Yield the trees of which something is left."""
        for tree in self._trees:
            if self._children[tree.pk][None]:
                record = self._record(tree, self._children[tree.pk])
                self._tally.has.update(trees=1, reviews=len(record.reviews), rankings=len(record.rankings))
                yield record

    # --- Messages ---

    def _choose_messages(self) -> None:
        rows = Message.objects.filter(tree__in=self._trees).defer("search", "text_digest").order_by("depth", "position")
        rows = rows.annotate(text_since=F("revision__created_at"))
        by_tree: dict[UUID, list[tuple[Message, datetime]]] = defaultdict(list)
        for row in rows:
            by_tree[row.tree_id].append((row, row.text_since))
        self._rules.compared.begin({row.pk for row in rows})
        topics = self._tally.topics.read(tree.pk for tree in self._trees)
        if self._rules.filters.near_duplicates:
            self._tally.similarity.read(rows)
        for tree in self._trees:
            children: dict[UUID | None, list[Message]] = defaultdict(list)
            for message, text_since in by_tree[tree.pk]:  # parents come before their replies
                fate = self._fate_of(message, tree, text_since)
                if isinstance(fate, LeftOut):
                    self._tally.left_out["trees" if message.parent_id is None else "messages"][fate] += 1
                    continue
                self._bases[message.pk] = fate
                self._messages[message.pk] = message
                self._tally.bases[fate] += 1
                if message.parent_id is None:
                    self._tally.topics.add(message.text, topics.get(message.pk))
                children[message.parent_id].append(message)
            self._children[tree.pk] = children

    def _fate_of(self, message: Message, tree: MessageTree, text_since: datetime) -> str | LeftOut:
        fate = self._rules.fate_of(message, tree, text_since)
        if not isinstance(fate, LeftOut) and message.parent_id is not None and message.parent_id not in self._bases:
            return LeftOut.BELOW
        return fate if isinstance(fate, LeftOut) else self._compared(message) or fate

    def _compared(self, message: Message) -> LeftOut | None:
        """Compare a message that may be published with those before it, and return why it is left out all the same."""
        leaves_out = not self._rules.filters.near_duplicates
        repeats = self._rules.compared.repeats(message)
        if repeats and leaves_out:
            return LeftOut.NEAR_DUPLICATE
        self._tally.similarity.add(message, repeats=repeats, is_compared=leaves_out)
        return None

    def _record(self, tree: MessageTree, children: dict[UUID | None, list[Message]]) -> TreeRecord:
        line = self._writer.tree(tree, children[None][0], children)
        node = with_constant_keys(line, self._tally.misfits)
        messages = {self._ids[m.pk]: m for siblings in children.values() for m in siblings}
        waiting: list[Node] = [node["prompt"]]
        while waiting:
            message = waiting.pop()
            row = messages[message["message_id"]]
            message["basis"] = self._bases[row.pk]
            message["lang"] = row.lang  # a file may leave it out
            self._tally.languages[row.lang] += 1
            self._tally.has["counted_reviews"] += message["review_count"] or 0
            waiting.extend(message["replies"])
        self._tally.has["messages"] += len(messages)
        reviews = [review for siblings in children.values() for m in siblings for review in self._reviews[m.pk]]
        return TreeRecord(
            tree=node,
            reviews=tuple(self._review_row(tree, review) for review in sorted(reviews, key=_by_time)),
            rankings=tuple(self._rankings[tree.pk]),
        )

    # --- Judgments ---

    def _read_reviews(self) -> list[Review]:
        rows = Review.objects.filter(message__tree__in=self._trees).order_by("created_at", "pk")
        return [row for row in rows if row.message_id in self._bases]

    def _read_rankings(self) -> list[Ranking]:
        rows = Ranking.objects.filter(parent__tree__in=self._trees).order_by("created_at", "pk")
        return [row for row in rows if row.parent_id in self._bases]

    def _takes_in(self, kind: str, judgment: Review | Ranking) -> bool:
        reason = None
        if judgment.created_at >= self._rules.cutoff:
            reason = LeftOut.LATER
        elif not self._agreements.cover(judgment.author_id, judgment.created_at):
            reason = LeftOut.NO_AGREEMENT
        if reason is not None:
            self._tally.left_out[kind][reason] += 1
        return reason is None

    def _takes_in_review(self, review: Review) -> bool:
        if not self._takes_in("reviews", review):
            return False
        reason = None
        if review.revision_id != self._messages[review.message_id].revision_id:
            reason = LeftOut.OTHER_TEXT
        elif all(value is None for value in review.labels.values()):
            reason = LeftOut.NO_LABELS
        if reason is not None:
            self._tally.left_out["reviews"][reason] += 1
        return reason is None

    def _review_row(self, tree: MessageTree, review: Review) -> dict[str, Any]:
        answers = sorted((name, float(value)) for name, value in review.labels.items() if value is not None)
        return {
            "message_tree_id": self._ids[tree.pk],
            "message_id": self._ids[review.message_id],
            "user_id": self._users[review.author_id],
            "kind": review.kind,
            "created_date": _moment(review.created_at),
            "labels": {"name": [name for name, _ in answers], "value": [value for _, value in answers]},
        }

    def _ranking_row(self, ranking: Ranking) -> dict[str, Any] | None:
        """Return the row, without the replies that the snapshot leaves out, or has with another text than was ranked.

        Fewer than two have no order.
        """
        if not self._takes_in("rankings", ranking):
            return None
        texts = zip(ranking.ordered_ids, ranking.revision_ids, strict=True)
        present = [(pk, revision) for pk, revision in texts if pk in self._ids]
        ranked = [self._ids[pk] for pk, revision in present if self._messages[pk].revision_id == revision]
        if len(ranked) < 2:
            reason = LeftOut.OTHER_TEXT if len(present) >= 2 else LeftOut.FEW_REPLIES
            self._tally.left_out["rankings"][reason] += 1
            return None
        return {
            "message_tree_id": self._ids[self._messages[ranking.parent_id].tree_id],
            "parent_id": self._ids[ranking.parent_id],
            "user_id": self._users[ranking.author_id],
            "created_date": _moment(ranking.created_at),
            "ranked_message_ids": ranked,
            "not_rankable": ranking.not_rankable,
        }

    def _judgments(self) -> dict[UUID, Judgments]:
        """Return the labels that the frozen reviews give, the skips, and how toxic a machine finds the texts."""
        skips: dict[UUID, Counter[str]] = defaultdict(Counter)
        rows = Skip.objects.filter(message__tree__in=self._trees, created_at__lt=self._rules.cutoff)
        for message_id, kind in rows.values_list("message", "kind"):
            if message_id in self._bases:
                skips[message_id][SKIP_EMOJIS[kind]] += 1
        toxicity = toxicity_of(self._messages)
        return {
            pk: Judgments(
                values_by_label(review.labels for review in self._reviews[pk]),
                skips[pk],
                toxicity=toxicity.get(pk, {}),
            )
            for pk in {*self._reviews, *skips, *toxicity}
        }


def _by_time(review: Review) -> tuple[datetime, UUID]:
    return review.created_at, review.pk


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
