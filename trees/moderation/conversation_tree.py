"""A whole conversation as moderators see it: nested and folded, with deleted and hidden messages. Never writes.

A tree may have a thousand messages: the cost is three statements whatever its size, with the start of each text only.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from uuid import UUID

from django.db.models.functions import Left
from django.utils import timezone

from trees.lifecycle.reply_ranks import sort_siblings
from trees.models import Message, MessageTree, Review, TreeTransition
from trees.moderation.queries import latest_transitions

MOST_MESSAGES = 1_000
"""Of a larger tree, what is furthest from its prompt is left out."""
EXCERPT = 400
OPEN_SIZE = 40
"""Messages of a tree that is shown unfolded."""
WARNINGS = frozenset(
    {"spam", "lang_mismatch", "pii", "not_appropriate", "hate_speech", "sexual_content", "political_content"}
)
WARNING = 0.5
"""The mean of answers from which a warning label is shown."""


@dataclass
class Turn:
    """One message, and where it stands in a list that is nested as the conversation is."""

    message: Message
    start: str
    labels: list[tuple[str, float]] = field(default_factory=list)
    """Names and means of what reviewers say: quality, and the warnings that most of them chose."""
    is_this: bool = False
    replies: int = 0
    below: int = 0  # all messages below it
    is_open: bool = False
    closes: range = range(0)
    """One for each list that ends after it."""

    @property
    def rank(self) -> int:
        """From 1; 0 for none."""
        return 0 if self.message.rank is None else self.message.rank + 1


@dataclass(frozen=True)
class Conversation:
    turns: list[Turn]
    is_cut: bool
    """There are more messages than are shown."""


def read_conversation(tree_id: UUID, this: Message | None = None) -> Conversation:
    """Return the messages, each right after the one it answers, best replies first. Two statements."""
    rows = (
        Message.objects.filter(tree=tree_id)
        .select_related("author")
        .defer("search", "text_digest", "text")
        .annotate(start=Left("text", EXCERPT))
        .order_by("depth", "created_at", "id")
    )
    found = list(rows[: MOST_MESSAGES + 1])
    children: dict[UUID | None, list[Message]] = defaultdict(list)
    for message in found[:MOST_MESSAGES]:
        children[message.parent_id].append(message)
    starts = {message.pk: message.start for message in found}
    labels = _labels(tree_id)
    path = _path(found, this)
    below = _sizes(found[:MOST_MESSAGES])
    turns = [
        Turn(
            message,
            starts[message.pk],
            labels.get(message.pk, []),
            is_this=this is not None and message.pk == this.pk,
            replies=len(children[message.pk]),
            below=below[message.pk],
            is_open=len(found) <= OPEN_SIZE or message.pk in path or (this is None and message.depth == 0),
        )
        for message in _in_reading_order(children)
    ]
    for turn, following in pairwise(turns):
        turn.closes = range(max(turn.message.depth - following.message.depth, 0))
    if turns:
        turns[-1].closes = range(turns[-1].message.depth)
    return Conversation(turns, is_cut=len(found) > MOST_MESSAGES)


def _in_reading_order(children: Mapping[UUID | None, list[Message]]) -> Iterator[Message]:
    waiting = list(children.get(None, ()))
    while waiting:
        message = waiting.pop()
        yield message
        waiting.extend(reversed(sort_siblings(children.get(message.pk, []))))


def _path(messages: Sequence[Message], this: Message | None) -> set[UUID]:
    """Return this message and those that it answers."""
    parents = {message.pk: message.parent_id for message in messages}
    path: set[UUID] = set()
    at = this.pk if this else None
    while at is not None and at not in path:
        path.add(at)
        at = parents.get(at)
    return path


def _sizes(messages: Sequence[Message]) -> dict[UUID, int]:
    """Return how many messages are below each; `messages` are sorted by depth."""
    sizes = {message.pk: 0 for message in messages}
    for message in reversed(messages):
        if message.parent_id in sizes:
            sizes[message.parent_id] += sizes[message.pk] + 1
    return sizes


def _labels(tree_id: UUID) -> dict[UUID, list[tuple[str, float]]]:
    """Return what reviewers say of each message: the mean quality, and warnings that most of them gave."""
    answers: dict[UUID, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    rows = Review.objects.filter(message__tree=tree_id, kind=Review.Kind.REVIEW).values_list("message_id", "labels")
    for message_id, labels in rows[: 5 * MOST_MESSAGES]:
        for name, value in labels.items():
            if value is not None:
                answers[message_id][name].append(value)
    return {message_id: list(_shown(named)) for message_id, named in answers.items()}


def _shown(named: Mapping[str, Sequence[float]]) -> Iterator[tuple[str, float]]:
    for name, values in sorted(named.items()):
        mean = sum(values) / len(values)
        if name == "quality" or (name in WARNINGS and mean >= WARNING):
            yield name.replace("_", " "), mean


@dataclass(frozen=True)
class Step:
    """One state that the conversation was in."""

    transition: TreeTransition
    seconds: float
    """How long it lasted, until now for the last one."""
    is_now: bool


def read_steps(tree: MessageTree) -> list[Step]:
    """Return the states of a tree in order. One statement. Of very many, the latest."""
    return steps_of(list(latest_transitions(tree.pk).select_related("actor"))[::-1])


def steps_of(transitions: Sequence[TreeTransition]) -> list[Step]:
    """Return the states that these steps of a tree, in order, led to."""
    ends = [*(step.at for step in transitions[1:]), timezone.now()][: len(transitions)]
    return [
        Step(step, max((end - step.at).total_seconds(), 0), is_now=step is transitions[-1])
        for step, end in zip(transitions, ends, strict=True)
    ]
