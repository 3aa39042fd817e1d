"""Practice reviews: anybody judges a text whose outcome is known, and sees at once what most reviewers said.

They are training only: no `Review` is stored, nothing is decided or counted by them. The texts are published messages
(`trees.published`) and the examples that ship with the project, never gold messages (`trees.contributing.gold`), which
have to stay secret.
"""

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID

from django.db.models import Count, Exists, Max, Min, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from oasst.accounts.models import User
from oasst.core.errors import NotFound
from oasst.core.markdown.rendering import render
from trees.contributing import examples
from trees.contributing.outcomes import Labels, Outcome, is_safe, outcomes_of, point_in_words, read_labels
from trees.label_guide import MEANINGS, Meaning
from trees.labels import LANG_MISMATCH, SPAM
from trees.lifecycle.demand import review_work
from trees.lifecycle.states import Work
from trees.models import Message, Practice, Review, Role
from trees.published import finished_trees, undoubted_messages
from trees.queries import PageMessage, conversation_to

LABELS = (SPAM, LANG_MISMATCH, "fails_task", "not_appropriate", "quality", "helpfulness", "toxicity")
"""The questions of a practice review, so far as reviewers of this kind of text are asked them."""
EXAMPLE = "example-"
EXAMPLES_ONE_IN = 3  # accepted messages alone would teach nobody what to keep out
TREES_LOOKED_AT = 12
MOST_TRIES = 3
_ABOUT = {
    Work.LABEL_INITIAL_PROMPT: Q(parent=None),
    Work.LABEL_PROMPTER_REPLY: Q(parent__isnull=False, role=Role.PROMPTER),
    Work.LABEL_ASSISTANT_REPLY: Q(role=Role.ASSISTANT),
}


@dataclass(frozen=True)
class PracticeItem:
    """A text to judge for practice, with its outcome."""

    key: str
    """What its address has: the id of the message, or `example-` and a name."""
    work: Work
    lang: str
    conversation: list[PageMessage]
    """From the prompt to the text to judge, which is the target."""
    outcomes: dict[str, Outcome]
    """By label, in the order in which they are asked."""
    why: str = ""
    """Of an example: why its makers judge so."""
    message_id: UUID | None = None

    @property
    def is_example(self) -> bool:
        return self.message_id is None


@dataclass(frozen=True)
class Answered:
    """One question of a practice review: the answer, and what most reviewers said."""

    outcome: Outcome
    answer: float | None
    """None: the person could not tell."""
    agrees: bool | None

    @property
    def in_words(self) -> str:
        """Say what the person answered."""
        if self.answer is None:
            return _("Cannot tell")
        if self.outcome.is_scale:
            return point_in_words(self.answer)
        return _("Yes") if self.answer >= 0.5 else _("No")

    @property
    def meaning(self) -> Meaning:
        return MEANINGS[self.outcome.label.name]


@dataclass(frozen=True)
class Practised:
    """A practice review that was given, by whoever gave it."""

    id: UUID
    key: str
    work: Work
    lang: str
    compared: int
    agreed: int
    at: datetime


def choose(
    work: Work, langs: Sequence[str], *, person: User | None, seen: Collection[str] = (), rng: random.Random
) -> PracticeItem:
    """Draw a text for practice in the first of these languages that has one, else one of our examples.

    `seen` are keys that should not come again while there are others. A person does not get what they wrote, reviewed
    or practised. Six statements for each language, and two more for each text that
    does not do.
    """
    example = _draw_example(work, langs, seen, rng)
    if example.key not in seen and example.lang == langs[0] and rng.randrange(EXAMPLES_ONE_IN) == 0:
        return example
    for lang in langs:
        if item := _draw_message(work, lang, person, seen, rng):
            return item
    return example


def get_item(key: str) -> PracticeItem:
    """Return the text with this key. Raise NotFound if it is not, or no longer, one for practice.

    The error does not say why: a gold message looks like one that was never for practice.
    """
    if key.startswith(EXAMPLE):
        example = examples.find_example(key.removeprefix(EXAMPLE))
        if example is not None:
            return _of_example(example)
    elif message := _find_published(_uuid(key)):
        outcomes = _known_outcomes(message, read_labels([message])[message.pk])
        item = _of_message(message, outcomes) if outcomes else None
        if item is not None:
            return item
    raise NotFound("This text is not for practice any more. Take another one.", code="not_for_practice")


def _find_published(message_id: UUID | None) -> Message | None:
    if message_id is None:
        return None
    rows = _practisable(undoubted_messages()).filter(pk=message_id)
    return rows.defer("search", "text_digest").first()


def compare(item: PracticeItem, labels: Labels) -> list[Answered]:
    """Compare a person's answers with the outcome. Once something is junk, the other questions need no answer."""
    junk = (labels.get(SPAM) or 0) >= 0.5
    return [
        _compare(outcome, labels.get(name), is_left_out=junk and name != SPAM)
        for name, outcome in item.outcomes.items()
    ]


def record(person: User, given: Iterable[Practised]) -> int:
    """Credit these practice reviews to a person, as training only. Return how many were new. Four statements.

    Safe to repeat: each is stored once, for the first person who brings it, and a person has one of each text.
    """
    rows = {one.id: one for one in given}
    ids = {row.id: _message_id(row.key) for row in rows.values()}
    known = set(Message.objects.filter(pk__in=[pk for pk in ids.values() if pk]).values_list("pk", flat=True))
    practices = [
        Practice(
            id=row.id,
            person=person,
            message_id=ids[row.id],
            example="" if ids[row.id] else row.key.removeprefix(EXAMPLE),
            work=row.work.value,
            lang=row.lang,
            compared=row.compared,
            agreed=row.agreed,
            at=row.at,
        )
        for row in rows.values()
        if ids[row.id] is None or ids[row.id] in known
    ]
    before = Practice.objects.filter(person=person).count()
    Practice.objects.bulk_create(practices, ignore_conflicts=True)
    return Practice.objects.filter(person=person).count() - before


@dataclass(frozen=True)
class PracticeSummary:
    reviews: int
    compared: int
    agreed: int

    @property
    def percent(self) -> int:
        return round(100 * self.agreed / self.compared) if self.compared else 0


def summary_of(person: User) -> PracticeSummary:
    """Return what a person practised. One statement."""
    rows = Practice.objects.filter(person=person)
    return PracticeSummary(
        **rows.aggregate(reviews=Count("pk"), compared=Coalesce(Sum("compared"), 0), agreed=Coalesce(Sum("agreed"), 0))
    )


def _compare(outcome: Outcome, answer: float | None, *, is_left_out: bool) -> Answered:
    if outcome.label.widget == "flag" and answer is None and not is_left_out:
        answer = 0.0  # a box that is shown and left empty
    if answer is None or is_left_out:
        return Answered(outcome, None, None)
    return Answered(outcome, answer, outcome.agrees(answer))


def _draw_example(work: Work, langs: Sequence[str], seen: Collection[str], rng: random.Random) -> PracticeItem:
    lang = next((lang for lang in langs if lang in examples.languages()), "")
    items = [_of_example(one) for one in examples.practice_examples(lang) if one.work == work]
    return rng.choice([item for item in items if item.key not in seen] or items)


def _draw_message(
    work: Work, lang: str, person: User | None, seen: Collection[str], rng: random.Random
) -> PracticeItem | None:
    """Draw from the finished trees that follow a random one."""
    ends = finished_trees(lang).order_by().aggregate(oldest=Min("number"), newest=Max("number"))
    if ends["newest"] is None:
        return None
    start = rng.randint(ends["oldest"], ends["newest"])
    trees = list(finished_trees(lang).filter(number__gte=start).values_list("pk", flat=True)[:TREES_LOOKED_AT])
    messages = _practisable(undoubted_messages()).filter(_ABOUT[work], tree__in=trees, lang=lang)
    if person is not None:
        messages = _new_to(person, messages)
    candidates = [one for one in messages.defer("search", "text_digest") if str(one.pk) not in seen]
    rng.shuffle(candidates)
    labels = read_labels(candidates)
    with_outcomes = ((message, _known_outcomes(message, labels[message.pk])) for message in candidates)
    known = ((message, outcomes) for message, outcomes in with_outcomes if outcomes)
    items = (_of_message(message, outcomes) for message, outcomes in islice(known, MOST_TRIES))
    return next((item for item in items if item), None)


def _practisable(messages: QuerySet[Message]) -> QuerySet[Message]:
    """Leave out gold messages, ended ones too, and texts that nobody reviewed."""
    return messages.filter(gold=None).filter(Q(review_count__gte=2) | Q(imported__isnull=False))


def _new_to(person: User, messages: QuerySet[Message]) -> QuerySet[Message]:
    reviewed = Review.by_author.filter(message=OuterRef("pk"), author=person)
    practised = Practice.objects.filter(message=OuterRef("pk"), person=person)
    return messages.exclude(author=person).exclude(Exists(reviewed)).exclude(Exists(practised))


def _known_outcomes(message: Message, reviews: Iterable[Labels]) -> dict[str, Outcome]:
    """Return the outcomes of the questions of a practice review; none if this message cannot be one."""
    outcomes = outcomes_of(reviews, message)
    if not _is_for_practice(message.pk) or SPAM not in outcomes or not is_safe(outcomes):
        return {}
    return {name: outcomes[name] for name in LABELS if name in outcomes}


def _of_message(message: Message, outcomes: dict[str, Outcome]) -> PracticeItem | None:
    """Return the item, or None if something above the message is not published. Two statements."""
    conversation = conversation_to(message, None)
    if undoubted_messages().filter(pk__in=[turn.id for turn in conversation]).count() != message.depth + 1:
        return None
    work = review_work(message)
    return PracticeItem(str(message.pk), work, message.lang, conversation, outcomes, message_id=message.pk)


def _is_for_practice(message_id: UUID) -> bool:
    """Return True for half of all messages, always the same.

    If all ordinary messages came up, those that never do would be the gold ones.
    """
    return salted_hmac("trees.practice", str(message_id), algorithm="sha256").digest()[0] < 128


def _of_example(example: examples.Example) -> PracticeItem:
    last = len(example.turns) - 1
    conversation = [
        # Ids that no message has, so that the page can name its parts.
        PageMessage(UUID(int=depth), examples.role_at(depth), text, render(text), example.lang, is_target=depth == last)
        for depth, text in enumerate(example.turns)
    ]
    outcomes = {name: example.outcomes[name] for name in LABELS if name in example.outcomes}
    return PracticeItem(EXAMPLE + example.name, example.work, example.lang, conversation, outcomes, example.why)


def _message_id(key: str) -> UUID | None:
    return None if key.startswith(EXAMPLE) else _uuid(key)


def _uuid(key: str) -> UUID | None:
    try:
        return UUID(key)
    except ValueError:
        return None
