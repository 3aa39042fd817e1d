"""The finished conversation that the front page walks through: real, short, chosen anew each day.

Only published messages are shown (`trees.published`), and their texts are read again each time, so that one that is
removed or withdrawn is gone from the front page too.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db.models import Max, Min
from django.urls import reverse
from django.utils.safestring import SafeString

from oasst.core.markdown.rendering import render
from trees.contributing import examples
from trees.contributing.outcomes import Outcome, is_safe, outcomes_of, read_labels, verdicts
from trees.models import Message
from trees.published import finished_trees, undoubted_messages

TREES_LOOKED_AT = 20  # on either side of the point of the day
REPLIES = 3  # shown to the first prompt
SHORTEST, LONGEST = 40, 900  # characters of a text that reads well on the front page
BEST_LENGTH = 1800  # characters of all texts together


@dataclass(frozen=True)
class StoryMessage:
    """One message, with what reviewers said about it."""

    role: str
    html: SafeString
    length: int
    verdicts: list[str]
    place: int | None = None
    """Among the replies to the same message, from 1."""


@dataclass(frozen=True)
class Story:
    """A prompt, the best replies to it, and how it went on below the best one."""

    lang: str
    prompt: StoryMessage
    replies: list[StoryMessage]
    """Best first."""
    more_replies: int
    continuation: list[StoryMessage]
    """Below the best reply: by turns of the user and of the assistant; may be empty."""
    tree_id: UUID | None = None
    """None: an example that ships with the project."""

    @property
    def is_example(self) -> bool:
        return self.tree_id is None

    @property
    def url(self) -> str:
        return reverse("tree", args=[self.tree_id]) if self.tree_id else ""

    @property
    def length(self) -> int:
        return sum(one.length for one in (self.prompt, *self.replies, *self.continuation))


def choose_story(lang: str, day: date) -> Story | None:
    """Return the story that suits the front page best among some of this day; None if none does. Four statements."""
    trees = _trees_of(lang, day)
    by_tree: dict[UUID, list[Message]] = defaultdict(list)
    messages = list(undoubted_messages().filter(tree__in=trees).defer("search", "text_digest")) if trees else []
    for message in messages:
        by_tree[message.tree_id].append(message)
    outcomes = _outcomes(messages)
    stories = (_story(by_tree[pk], outcomes) for pk in trees)
    return max((story for story in stories if story and _suits(story)), key=_worth, default=None)


def read_story(tree_id: UUID) -> Story | None:
    """Return the story of a tree as it is now; None if it cannot be shown any more. Two statements."""
    messages = list(undoubted_messages().filter(tree=tree_id).defer("search", "text_digest"))
    return _story(messages, _outcomes(messages))


def example_story(lang: str) -> Story:
    """Return the example that ships with the project."""
    lang, prompt = examples.story(lang)
    continuation = _example_path(prompt.replies[0])
    return Story(
        lang,
        _of_example(prompt, 0),
        [_of_example(reply, 1, place) for place, reply in enumerate(prompt.replies, start=1)],
        0,
        [_of_example(one, depth) for depth, one in enumerate(continuation, start=2)],
    )


def _trees_of(lang: str, day: date) -> list[UUID]:
    """Return the finished trees that follow a point which is the same all day."""
    ends = finished_trees(lang).order_by().aggregate(oldest=Min("number"), newest=Max("number"))
    if ends["newest"] is None:
        return []
    digest = hashlib.sha256(f"{lang} {day.isoformat()}".encode()).digest()
    start = ends["oldest"] + int.from_bytes(digest[:8]) % (ends["newest"] - ends["oldest"] + 1)
    after = finished_trees(lang).filter(number__gte=start).values_list("pk", flat=True)
    before = finished_trees(lang).filter(number__lt=start).values_list("pk", flat=True)
    return sorted(after[:TREES_LOOKED_AT].union(before[:TREES_LOOKED_AT], all=True))


def _outcomes(messages: Sequence[Message]) -> dict[UUID, dict[str, Outcome]]:
    """Return the outcomes of all questions, by message. One statement."""
    labels = read_labels(messages)
    return {message.pk: outcomes_of(labels[message.pk], message) for message in messages}


def _story(messages: Iterable[Message], outcomes: Mapping[UUID, Mapping[str, Outcome]]) -> Story | None:
    """Return the story; None unless the prompt and a reply are there, and all that would be shown is safe."""
    children: dict[UUID | None, list[Message]] = defaultdict(list)
    for message in messages:
        children[message.parent_id].append(message)
    if not children[None]:
        return None
    prompt = children[None][0]
    replies = _best_first(children[prompt.pk])
    if not replies:
        return None
    continuation = list(_path_below(replies[0], children))[:2]
    if not all(is_safe(outcomes[one.pk]) for one in (prompt, *replies[:REPLIES], *continuation)):
        return None
    ranked = len(replies) > 1 and replies[0].rank is not None

    def show(message: Message, place: int | None = None) -> StoryMessage:
        words = verdicts(outcomes[message.pk])
        return StoryMessage(message.role, render(message.text), len(message.text), words, place)

    return Story(
        prompt.lang,
        show(prompt),
        [show(reply, place if ranked else None) for place, reply in enumerate(replies[:REPLIES], start=1)],
        len(replies[REPLIES:]),
        [show(one) for one in continuation],
        prompt.tree_id,
    )


def _best_first(replies: list[Message]) -> list[Message]:
    return sorted(replies, key=lambda one: (one.rank is None, one.rank or 0, one.position))


def _path_below(message: Message, children: Mapping[UUID | None, list[Message]]) -> Iterator[Message]:
    """Yield the best reply below a message, the best reply to that one, and so on."""
    while replies := children.get(message.pk):
        message = _best_first(replies)[0]
        yield message


def _suits(story: Story) -> bool:
    texts = (story.prompt, *story.replies, *story.continuation)
    return (
        len(story.replies) > 1 and all(one.length <= LONGEST for one in texts) and story.replies[0].length >= SHORTEST
    )


def _worth(story: Story) -> tuple[bool, bool, bool, int]:
    """Order stories by what they show: an order, verdicts, a continuation; then by a length that reads well."""
    return (
        story.replies[0].place is not None,
        bool(story.replies[0].verdicts),
        len(story.continuation) == 2,
        -abs(story.length - BEST_LENGTH),
    )


def _example_path(message: examples.ExampleMessage) -> list[examples.ExampleMessage]:
    path: list[examples.ExampleMessage] = []
    while message.replies:
        message = message.replies[0]
        path.append(message)
    return path


def _of_example(message: examples.ExampleMessage, depth: int, place: int | None = None) -> StoryMessage:
    words = verdicts(message.outcomes)
    return StoryMessage(examples.role_at(depth).value, render(message.text), len(message.text), words, place)
