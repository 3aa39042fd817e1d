"""Rankings for practice: order the replies to a message, and see at once how people ordered them.

Training only, like practice reviews (`trees.contributing.practice`). They are about the examples that ship with the
project, and about finished conversations that administrators chose and explained
(`trees.contributing.practice_texts`).
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations
from uuid import NAMESPACE_URL, UUID, uuid5

from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils.safestring import SafeString

from oasst.accounts.models import User
from oasst.core.markdown.rendering import render
from trees.contributing import examples
from trees.contributing.practice import (
    CHOSEN_LOOKED_AT,
    EXAMPLE,
    MOST_TRIES,
    draw_explained,
    find_published,
    made_up_conversation,
    not_for_practice,
    practisable,
    practised_examples,
    published_conversation,
    to_uuid,
)
from trees.lifecycle.states import Work
from trees.models import Message, Practice, PracticeText, Ranking, Role
from trees.published import undoubted_messages
from trees.queries import PageMessage

LEAST_REPLIES, MOST_REPLIES = 2, 6


@dataclass(frozen=True)
class RankingItem:
    """Replies to put in order for practice, with the order that is known."""

    key: str
    """What its address has: the id of the message that they answer, or `example-` and a name."""
    work: Work
    lang: str
    conversation: list[PageMessage]
    """From the prompt to the message that they answer."""
    best_first: list[Message]
    """The replies in the known order. Those of an example are not stored."""
    why: str
    is_example: bool

    @property
    def shuffled(self) -> list[Message]:
        """Return the replies as they are shown: always in the same order for one item, and not in the known one."""
        replies = sorted(self.best_first, key=lambda reply: uuid5(NAMESPACE_URL, f"{self.key}/{reply.pk}"))
        return [*replies[1:], replies[0]] if replies == self.best_first else replies


@dataclass(frozen=True)
class Compared:
    """A reply in the known order, with the place that a person gave it. Places count from 1."""

    reply: Message
    place: int
    given: int

    @property
    def html(self) -> SafeString:
        return render(self.reply.text)


def choose_ranking(
    work: Work, langs: Sequence[str], *, person: User | None, seen: Collection[str] = (), rng: random.Random
) -> RankingItem:
    """Draw a ranking in the first of these languages that has one, else one of our examples.

    Nobody gets one that they ranked or wrote in, or, while there are others, one that is in `seen`.
    """
    seen = {*seen, *practised_examples(person)}
    return draw_explained(
        langs,
        seen,
        rng,
        examples_in=lambda lang: _examples(work, lang),
        draw_chosen=lambda lang: _draw_chosen(work, lang, person, seen, rng),
    )


def get_ranking(key: str, reader: User | None = None) -> RankingItem:
    """Return the ranking with this key. Raise NotFound as `practice.get_item`."""
    if key.startswith(EXAMPLE):
        example = examples.find_ranking_example(key.removeprefix(EXAMPLE))
        if example is not None:
            return _of_example(example)
    elif message_id := to_uuid(key):
        rows = _chosen().filter(message=message_id)
        explanation = rows.values_list("explanation", flat=True).first()
        message = find_published(message_id, reader) if explanation else None
        item = of_message(message, explanation) if message and explanation else None
        if item is not None:
            return item
    raise not_for_practice()


def compare_order(item: RankingItem, order: Sequence[UUID]) -> tuple[list[Compared], int, int]:
    """Compare a person's order, best first, with the known one.

    Return the replies in the known order, how many pairs of them were compared, and how many of these the person put
    the same way round.
    """
    given = {pk: place for place, pk in enumerate(order, start=1)}
    compared = [Compared(reply, place, given[reply.pk]) for place, reply in enumerate(item.best_first, start=1)]
    pairs = [better.given < worse.given for better, worse in combinations(compared, 2)]
    return compared, len(pairs), sum(pairs)


def of_message(message: Message, explanation: str) -> RankingItem | None:
    """Return the ranking of the replies to a message; None if they, or what is above, cannot be shown. Three
    statements.
    """
    replies = (
        practisable(undoubted_messages()).filter(parent=message, rank__isnull=False).defer("search", "text_digest")
    )
    best_first = list(replies.order_by("rank")[: MOST_REPLIES + 1])
    if not LEAST_REPLIES <= len(best_first) <= MOST_REPLIES:
        return None
    conversation = published_conversation(message)
    if not conversation:
        return None
    work = ranking_work(message)
    return RankingItem(str(message.pk), work, message.lang, conversation, best_first, explanation, is_example=False)


def ranking_work(message: Message) -> Work:
    """Return the work of ordering the replies to this message."""
    return Work.RANK_ASSISTANT_REPLIES if message.role == Role.PROMPTER else Work.RANK_PROMPTER_REPLIES


def _chosen() -> QuerySet[PracticeText]:
    return PracticeText.objects.filter(
        active=True, exercise=PracticeText.Exercise.RANKING, revision=F("message__revision")
    )


def _draw_chosen(
    work: Work, lang: str, person: User | None, seen: Collection[str], rng: random.Random
) -> RankingItem | None:
    """Draw from the messages that administrators chose. One statement if there are none."""
    rows = _chosen().filter(work=work, lang=lang)
    if person is not None:
        ranked = Ranking.objects.filter(parent=OuterRef("message"), author=person)
        answered = Message.objects.filter(parent=OuterRef("message"), author=person)
        practised = Practice.objects.filter(message=OuterRef("message"), person=person)
        rows = rows.exclude(Exists(ranked)).exclude(Exists(answered)).exclude(Exists(practised))
    latest = rows.order_by("-changed_at").values_list("message_id", "explanation")[:CHOSEN_LOOKED_AT]
    found = [(pk, explanation) for pk, explanation in latest if str(pk) not in seen]
    for pk, explanation in rng.sample(found, min(len(found), MOST_TRIES)):
        message = find_published(pk, person)
        item = of_message(message, explanation) if message else None
        if item is not None:
            return item
    return None


def _examples(work: Work, lang: str) -> list[RankingItem]:
    if lang not in examples.languages():
        return []
    return [_of_example(one) for one in examples.ranking_examples(lang) if one.work == work]


def _of_example(example: examples.RankingExample) -> RankingItem:
    role = examples.role_at(len(example.turns))
    replies = [
        Message(pk=uuid5(NAMESPACE_URL, f"{example.name}/{number}"), text=text, role=role, lang=example.lang)
        for number, text in enumerate(example.replies)
    ]
    conversation = made_up_conversation(example.turns, example.lang)
    return RankingItem(
        EXAMPLE + example.name, example.work, example.lang, conversation, replies, example.why, is_example=True
    )
