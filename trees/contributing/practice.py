"""Practice reviews: anybody judges a text whose outcome is known, and sees at once what most reviewers said.

They are training only: no `Review` is stored, nothing is decided or counted by them. The texts are published messages
(`trees.published`) and the examples that ship with the project, never gold messages (`trees.contributing.gold`), which
have to stay secret. Some texts have an explanation: the examples, and the messages that administrators chose
(`trees.contributing.practice_texts`). Rankings for practice are in `trees.contributing.practice_rankings`.
"""

import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Protocol, TypeVar
from uuid import UUID

from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from oasst.accounts.models import User
from oasst.core.errors import NotFound
from oasst.core.markdown.rendering import render
from trees.being_reviewed import tasks_by_tree
from trees.contributing import examples
from trees.contributing.outcomes import Labels, Outcome, is_safe, outcomes_of, point_in_words, read_labels
from trees.label_guide import MEANINGS, Meaning
from trees.labels import LANG_MISMATCH, SPAM
from trees.lifecycle.demand import review_work
from trees.lifecycle.states import Work
from trees.models import Message, Practice, PracticeText, Review, Role
from trees.published import finished_trees, undoubted_messages
from trees.queries import PageMessage, conversation_to

LABELS = (SPAM, LANG_MISMATCH, "fails_task", "not_appropriate", "quality", "helpfulness", "toxicity")
"""The questions of a practice review, so far as reviewers of this kind of text are asked them."""
EXAMPLE = "example-"
EXPLAINED_ONE_IN = 3  # accepted messages alone, without a word, would teach nobody what to keep out
CHOSEN_LOOKED_AT = 50
TREES_LOOKED_AT = 12
MOST_TRIES = 3
_ABOUT = {
    Work.LABEL_INITIAL_PROMPT: Q(parent=None),
    Work.LABEL_PROMPTER_REPLY: Q(parent__isnull=False, role=Role.PROMPTER),
    Work.LABEL_ASSISTANT_REPLY: Q(role=Role.ASSISTANT),
}


class HasKey(Protocol):
    """Something for practice, which its key names in its address and in what a person has seen."""

    @property
    def key(self) -> str: ...


Item = TypeVar("Item", bound=HasKey)


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
    """Why it is judged so, by the makers of an example or the administrators who chose a message."""
    message_id: UUID | None = None

    @property
    def is_example(self) -> bool:
        return self.message_id is None

    @property
    def is_accepted(self) -> bool:
        """Return True if reviewers keep it: most call it neither junk nor in another language."""
        asked = (self.outcomes[name] for name in (SPAM, LANG_MISMATCH) if name in self.outcomes)
        return not any(2 * outcome.yes > outcome.count for outcome in asked)


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
            return point_in_words(self.outcome.label, self.answer)
        return _("Yes") if self.answer >= 0.5 else _("No")

    @property
    def meaning(self) -> Meaning:
        return MEANINGS[self.outcome.label.name]


@dataclass(frozen=True)
class Practised:
    """A practice review or ranking that was given, by whoever gave it."""

    id: UUID
    key: str
    work: Work
    lang: str
    compared: int
    agreed: int
    at: datetime


def choose(
    work: Work,
    langs: Sequence[str],
    *,
    person: User | None,
    seen: Collection[str] = (),
    rng: random.Random,
    explained: bool = False,
) -> PracticeItem:
    """Draw a text for practice in the first of these languages that has one, else one of our examples.

    `seen` are keys that should not come again while there are others. A person does not get what they wrote, reviewed
    or practised. With `explained` only texts whose outcome somebody explains. Seven statements for each language, and
    two more for each text that does not do.
    """
    seen = {*seen, *practised_examples(person)}
    if explained or rng.randrange(EXPLAINED_ONE_IN) == 0:
        item = _draw_explained(work, langs, person, seen, rng)
        if explained or (item.key not in seen and item.lang == langs[0]):
            return item
    for lang in langs:
        if message := _draw_message(work, lang, person, seen, rng):
            return message
    return _draw_explained(work, langs, person, seen, rng)


def choose_verdict(
    work: Work, langs: Sequence[str], *, person: User | None, seen: Collection[str] = (), rng: random.Random
) -> PracticeItem:
    """Draw an explained text of which somebody says whether it is accepted: practice for writers of such texts."""
    seen = {*seen, *practised_examples(person)}
    return _draw_explained(work, langs, person, seen, rng, for_writers=True)


def get_verdict(key: str, reader: User | None = None) -> PracticeItem:
    """Return the text with this key for `choose_verdict`, explained to writers. Raise NotFound, as `get_item`."""
    item = get_item(key, reader)
    if item.is_example:
        example = examples.find_example(key.removeprefix(EXAMPLE))
        item = replace(item, why=example.for_writers if example else "")
    if not item.why:
        raise not_for_practice()
    return item


def not_for_practice() -> NotFound:
    """Return the error for a key that names nothing, or nothing for practice any more."""
    return NotFound(_("This text is not for practice any more. Take another one."), code="not_for_practice")


def get_item(key: str, reader: User | None = None) -> PracticeItem:
    """Return the text with this key. Raise NotFound if it is not, or no longer, one for practice, nor for this reader
    while they review something in its conversation.

    The error does not say why: a gold message looks like one that was never for practice.
    """
    if key.startswith(EXAMPLE):
        example = examples.find_example(key.removeprefix(EXAMPLE))
        if example is not None:
            return _of_example(example)
    elif message := find_published(to_uuid(key), reader):
        why = _explanations(Q(message=message)).get(message.pk, "")
        outcomes = known_outcomes(message, read_labels([message])[message.pk], is_chosen=bool(why))
        item = _of_message(message, outcomes, why) if outcomes else None
        if item is not None:
            return item
    raise not_for_practice()


def find_published(message_id: UUID | None, reader: User | None = None) -> Message | None:
    """Return the message if its text may come up for practice, and for this reader now (decision 130)."""
    if message_id is None:
        return None
    rows = practisable(undoubted_messages()).filter(pk=message_id)
    message = rows.defer("search", "text_digest").first()
    return None if message is None or message.tree_id in tasks_by_tree(reader) else message


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


def practised_examples(person: User | None) -> list[str]:
    """Return the keys of the examples that a person practised. One statement, none for a visitor."""
    if person is None:
        return []
    names = Practice.objects.filter(person=person).exclude(example="").values_list("example", flat=True)
    return [EXAMPLE + name for name in names]


def _draw_explained(
    work: Work,
    langs: Sequence[str],
    person: User | None,
    seen: Collection[str],
    rng: random.Random,
    *,
    for_writers: bool = False,
) -> PracticeItem:
    return draw_explained(
        langs,
        seen,
        rng,
        examples_in=lambda lang: _examples(work, lang, for_writers=for_writers),
        draw_chosen=lambda lang: _draw_chosen(work, lang, person, seen, rng),
    )


def draw_explained(
    langs: Sequence[str],
    seen: Collection[str],
    rng: random.Random,
    *,
    examples_in: Callable[[str], list[Item]],
    draw_chosen: Callable[[str], Item | None],
) -> Item:
    """Draw something with an explanation: half of them messages that administrators chose, half of them examples.

    The first of these languages that has something new decides; if none has, an example comes again.
    """
    for lang in langs:
        unseen = [one for one in examples_in(lang) if one.key not in seen]
        if unseen and rng.randrange(2) == 0:
            return rng.choice(unseen)
        if chosen := draw_chosen(lang):
            return chosen
        if unseen:
            return rng.choice(unseen)
    every = examples_in(next((lang for lang in langs if lang in examples.languages()), examples.FALLBACK))
    return rng.choice([one for one in every if one.key not in seen] or every)


def _examples(work: Work, lang: str, *, for_writers: bool) -> list[PracticeItem]:
    if lang not in examples.languages():
        return []
    of_work = [one for one in examples.practice_examples(lang) if one.work == work]
    return [_of_example(one) for one in of_work if one.for_writers or not for_writers]


def _draw_chosen(
    work: Work, lang: str, person: User | None, seen: Collection[str], rng: random.Random
) -> PracticeItem | None:
    """Draw from the messages that administrators chose. One statement if there are none."""
    explanations = _explanations(Q(work=work, lang=lang))
    if not explanations:
        return None
    messages = practisable(undoubted_messages()).filter(pk__in=explanations)
    return _draw_from(messages, person, seen, rng, explanations)


def _explanations(which: Q) -> dict[UUID, str]:
    """Return message → explanation of the messages that administrators chose for reviews. One statement."""
    rows = PracticeText.objects.filter(
        which, active=True, exercise=PracticeText.Exercise.REVIEW, revision=F("message__revision")
    )
    return dict(rows.order_by("-changed_at").values_list("message_id", "explanation")[:CHOSEN_LOOKED_AT])


def _draw_message(
    work: Work, lang: str, person: User | None, seen: Collection[str], rng: random.Random
) -> PracticeItem | None:
    """Draw from the finished trees that follow a random one."""
    ends = finished_trees(lang).order_by().aggregate(oldest=Min("number"), newest=Max("number"))
    if ends["newest"] is None:
        return None
    start = rng.randint(ends["oldest"], ends["newest"])
    trees = list(finished_trees(lang).filter(number__gte=start).values_list("pk", flat=True)[:TREES_LOOKED_AT])
    messages = practisable(undoubted_messages()).filter(_ABOUT[work], tree__in=trees, lang=lang)
    return _draw_from(messages, person, seen, rng, {})


def _draw_from(
    messages: QuerySet[Message],
    person: User | None,
    seen: Collection[str],
    rng: random.Random,
    explanations: Mapping[UUID, str],
) -> PracticeItem | None:
    if person is not None:
        messages = _new_to(person, messages)
    candidates = [one for one in messages.defer("search", "text_digest") if str(one.pk) not in seen]
    rng.shuffle(candidates)
    labels = read_labels(candidates)
    with_outcomes = (
        (message, known_outcomes(message, labels[message.pk], is_chosen=message.pk in explanations))
        for message in candidates
    )
    known = ((message, outcomes) for message, outcomes in with_outcomes if outcomes)
    items = (
        _of_message(message, outcomes, explanations.get(message.pk, ""))
        for message, outcomes in islice(known, MOST_TRIES)
    )
    return next((item for item in items if item), None)


def practisable(messages: QuerySet[Message]) -> QuerySet[Message]:
    """Leave out gold messages, ended ones too, and texts that nobody reviewed."""
    return messages.filter(gold=None).filter(Q(review_count__gte=2) | Q(imported__isnull=False))


def _new_to(person: User, messages: QuerySet[Message]) -> QuerySet[Message]:
    reviewed = Review.by_author.filter(message=OuterRef("pk"), author=person)
    practised = Practice.objects.filter(message=OuterRef("pk"), person=person)
    messages = messages.exclude(tree__in=list(tasks_by_tree(person)))
    return messages.exclude(author=person).exclude(Exists(reviewed)).exclude(Exists(practised))


def known_outcomes(message: Message, reviews: Iterable[Labels], *, is_chosen: bool) -> dict[str, Outcome]:
    """Return the outcomes of the questions of a practice review; none if this message cannot be one.

    `is_chosen`: by administrators, so that it need not be in the half of all messages that come up by themselves.
    """
    outcomes = outcomes_of(reviews, message)
    if not (is_chosen or _is_for_practice(message.pk)) or SPAM not in outcomes or not is_safe(outcomes):
        return {}
    return {name: outcomes[name] for name in LABELS if name in outcomes}


def _of_message(message: Message, outcomes: dict[str, Outcome], why: str) -> PracticeItem | None:
    """Return the item, or None if something above the message is not published. Two statements."""
    conversation = published_conversation(message)
    if not conversation:
        return None
    work = review_work(message)
    return PracticeItem(str(message.pk), work, message.lang, conversation, outcomes, why, message.pk)


def published_conversation(message: Message) -> list[PageMessage]:
    """Return the messages down to this one; nothing if one of them is not published. Two statements."""
    conversation = conversation_to(message, None)
    published = undoubted_messages().filter(pk__in=[turn.id for turn in conversation]).count()
    return conversation if published == message.depth + 1 else []


def _is_for_practice(message_id: UUID) -> bool:
    """Return True for half of all messages, always the same.

    If all ordinary messages came up, those that never do would be the gold ones.
    """
    return salted_hmac("trees.practice", str(message_id), algorithm="sha256").digest()[0] < 128


def _of_example(example: examples.Example) -> PracticeItem:
    outcomes = {name: example.outcomes[name] for name in LABELS if name in example.outcomes}
    conversation = made_up_conversation(example.turns, example.lang)
    return PracticeItem(EXAMPLE + example.name, example.work, example.lang, conversation, outcomes, example.why)


def made_up_conversation(turns: Sequence[str], lang: str) -> list[PageMessage]:
    """Return the turns of an example as pages show messages. The last one is framed."""
    last = len(turns) - 1
    return [
        # Ids that no message has, so that the page can name its parts.
        PageMessage(UUID(int=depth), examples.role_at(depth), text, render(text), lang, is_target=depth == last)
        for depth, text in enumerate(turns)
    ]


def _message_id(key: str) -> UUID | None:
    return None if key.startswith(EXAMPLE) else to_uuid(key)


def to_uuid(key: str) -> UUID | None:
    """Return the message id that a key is; None for anything else."""
    try:
        return UUID(key)
    except ValueError:
        return None
