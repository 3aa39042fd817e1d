"""How reliable reviewers are, by language and label: learnt every night from all reviews, read when a review is given.

Most is learnt from how people agree; some from checks (`Review.CHECKS`): gold messages, whose right verdict is known,
and messages that somebody reviewed twice.

`learn` needs memory by the number of people, not of reviews: it writes the answers to a temporary file and reads that
once for each round of estimation.
"""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import IO, Any
from uuid import UUID

import orjson
from django.db import transaction
from django.db.models import F, OuterRef, Subquery
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.locks import advisory_lock
from oasst.core.text.languages import name_of
from trees.contributing.skill_estimation import LEAST_TEXTS, PERSON_VOTES, Answers, Estimate, estimate
from trees.labels import LABELS, Label
from trees.lifecycle import consensus
from trees.lifecycle.consensus import Skill
from trees.models import Review, ReviewerRecord, ReviewerSkill

VERDICT = ReviewerSkill.VERDICT
WINDOW = timedelta(days=180)  # people change; older reviews say little
STEP = 0.25  # between two answers on a scale
NOTABLE = 0.2  # the share of texts from which on differing is mentioned
LEAST_CHECKS = 10  # of a kind, from which on a person sees what they came to
BATCH = 1000

Labels = Mapping[str, float | None]


def known_skill(*, person: User, lang: str) -> Skill | None:
    """Return what is known of how this user judges in a language, or None if that is too little. One statement."""
    rows = ReviewerSkill.objects.filter(person=person, lang=lang, label=VERDICT, texts__gte=LEAST_TEXTS)
    for finds, spares in rows.values_list("finds", "spares")[:1]:
        if finds is not None and spares is not None:  # the verdict always has both
            return Skill(finds, spares)
    return None


@dataclass(frozen=True)
class Difference:
    """A label that a user answers differently from others, in one language."""

    label: Label
    language: str  # its name
    texts: int
    differed: int
    leans: float | None  # on scales: above 0 if this user gives more than others

    @property
    def share(self) -> float:
        return self.differed / self.texts

    @property
    def tendency(self) -> str:
        """Return which way this user leans on a scale: "higher", "lower", or "" if neither."""
        leans = self.leans or 0
        return "" if abs(leans) < STEP / 2 else "higher" if leans > 0 else "lower"


def notable_differences(person: User, *, most: int = 2) -> list[Difference]:
    """Return the labels on which this user and others differ most, only if there are enough texts to say so."""
    rows = ReviewerSkill.objects.filter(person=person, texts__gte=LEAST_TEXTS, differed__gte=F("texts") * NOTABLE)
    found = [
        Difference(LABELS[label], name_of(lang), texts, differed, leans)
        for label, lang, texts, differed, leans in rows.values_list("label", "lang", "texts", "differed", "leans")
        if label in LABELS  # not the verdict, which people see as a whole
    ]
    return sorted(found, key=lambda difference: (-difference.share, difference.label.name, difference.language))[:most]


@dataclass(frozen=True)
class CheckSummary:
    """What a user sees of their checks, only if there are enough of them to say something."""

    gold: int = 0  # 0: too few
    gold_right: int = 0
    wrong_way: str = ""  # "kept" or "rejected": what most differences were, if there is more than one
    wrong: int = 0
    repeated: int = 0  # 0: too few
    repeated_alike: int = 0


def summary_of_checks(record: ReviewerRecord | None) -> CheckSummary | None:
    """Return what the checks of this user say to them, or None while there are fewer than `LEAST_CHECKS` of a kind."""
    if record is None or max(record.gold, record.repeated) < LEAST_CHECKS:
        return None
    of_gold: dict[str, Any] = {}
    if record.gold >= LEAST_CHECKS:
        kept, rejected = record.bad_kept, record.good_rejected
        way = "" if kept + rejected < 2 or kept == rejected else "kept" if kept > rejected else "rejected"
        of_gold = {"gold": record.gold, "gold_right": record.gold_right, "wrong_way": way, "wrong": max(kept, rejected)}
    enough = record.repeated >= LEAST_CHECKS
    return CheckSummary(
        **of_gold,
        repeated=record.repeated if enough else 0,
        repeated_alike=record.repeated_alike if enough else 0,
    )


def skills_for_moderators(person: User) -> list[tuple[str, str, ReviewerSkill]]:
    """Return (question, language, skill) of all estimates that rest on enough texts, the verdict first."""
    rows = ReviewerSkill.objects.filter(person=person, texts__gte=LEAST_TEXTS)
    ordered = sorted(rows, key=lambda skill: (skill.lang, skill.label != VERDICT, skill.label))
    return [(skill.label.replace("_", " "), name_of(skill.lang), skill) for skill in ordered]


def learn() -> int:
    """Estimate all users who reviewed lately and return their number. Safe to run twice and concurrently."""
    with transaction.atomic(durable=True), tempfile.TemporaryFile() as file:
        advisory_lock("reviewers")
        collected = _Collected(file)
        for lang, accepted, reviews in _reviews_by_text(timezone.now() - WINDOW):
            collected.add(lang, accepted, reviews)
        for lang, good, author, labels in _gold_answers(timezone.now() - WINDOW):
            collected.add_gold(lang, good, author, labels)
        for author, first, second in _repeats(timezone.now() - WINDOW):
            collected.add_repeat(author, first, second)
        _store(collected, estimate(collected.read))
        return len(collected.people)


def _reviews_by_text(since: datetime) -> Iterator[tuple[str, bool | None, list[tuple[UUID, Labels]]]]:
    """Yield (language, whether it was accepted, its reviews) for each text that was reviewed since then."""
    # Only reviews of the present text: the decision is about that one.
    rows = (
        Review.objects.filter(
            kind=Review.Kind.REVIEW, created_at__gte=since, revision=F("message__revision"), message__deleted=False
        )
        .order_by("message_id", "created_at", "pk")
        .values_list("message_id", "message__lang", "message__review_result", "author_id", "labels")
    )
    for (_, lang, accepted), reviews in groupby(rows.iterator(chunk_size=BATCH), key=itemgetter(0, 1, 2)):
        yield lang, accepted, [(author, labels) for *_, author, labels in reviews]


def _gold_answers(since: datetime) -> Iterator[tuple[str, bool, UUID, Labels]]:
    """Yield (language, right verdict, author, labels) of each answer to what is a gold message still."""
    rows = Review.first_answers(Review.Kind.GOLD).filter(
        created_at__gte=since,
        revision=F("message__gold__revision"),
        message__gold__active=True,
        message__review_result=F("message__gold__good"),
        message__deleted=False,
    )
    values = ("message__lang", "message__gold__good", "author_id", "labels")
    yield from rows.order_by("pk").values_list(*values).iterator(chunk_size=BATCH)


def _repeats(since: datetime) -> Iterator[tuple[UUID, Labels, Labels]]:
    """Yield (author, first labels, second labels) of each text that somebody reviewed twice, the second time lately."""
    same = Review.objects.filter(kind=Review.Kind.REVIEW, revision=OuterRef("revision"), author=OuterRef("author"))
    rows = Review.first_answers(Review.Kind.REPEAT).filter(created_at__gte=since)
    rows = rows.annotate(first=Subquery(same.values("labels")[:1])).filter(first__isnull=False)
    yield from rows.order_by("pk").values_list("author_id", "first", "labels").iterator(chunk_size=BATCH)


def yes_or_no(labels: Labels) -> dict[str, bool]:
    """Return the answers to yes-or-no questions, and the verdict. A flag that was shown and not set is a no."""
    answers = {VERDICT: consensus.is_rejecting(labels)}
    for name, value in labels.items():
        widget = LABELS[name].widget if name in LABELS else ""
        if widget == "flag" or (widget == "yes_no" and value is not None):
            answers[name] = (value or 0) >= 0.5
    return answers


def scales(labels: Labels) -> dict[str, float]:
    """Return the answers on scales."""
    return {
        name: value
        for name, value in labels.items()
        if value is not None and name in LABELS and LABELS[name].widget == "likert"
    }


@dataclass
class _Scale:
    """How one person's answers on a scale compare with the mean of the others."""

    texts: int = 0
    distance: float = 0
    close: int = 0

    def add(self, distance: float) -> None:
        self.texts += 1
        self.distance += distance
        self.close += abs(distance) <= STEP


@dataclass
class _Checks:
    """What one person's checks came to: the columns of `ReviewerRecord`."""

    good_kept: int = 0
    good_rejected: int = 0
    bad_rejected: int = 0
    bad_kept: int = 0
    repeated: int = 0
    repeated_alike: int = 0

    def add_gold(self, good: bool, rejects: bool) -> None:
        self.good_kept += good and not rejects
        self.good_rejected += good and rejects
        self.bad_rejected += not good and rejects
        self.bad_kept += not good and not rejects


@dataclass
class _Collected:
    """The answers of all reviews: yes-or-no questions in a file, one line for each text; sums of all the rest.

    People are numbers here, in the order in which they appeared.
    """

    file: IO[bytes]
    people: dict[UUID, int] = field(default_factory=dict)
    decided: Counter[int] = field(default_factory=Counter)
    agreed: Counter[int] = field(default_factory=Counter)
    scales: dict[tuple[str, str, int], _Scale] = field(default_factory=lambda: defaultdict(_Scale))
    checks: dict[int, _Checks] = field(default_factory=lambda: defaultdict(_Checks))

    def add(self, lang: str, accepted: bool | None, reviews: Iterable[tuple[UUID, Labels]]) -> None:
        answers = defaultdict[str, list[tuple[int, bool]]](list)
        on_scales = defaultdict[str, dict[int, float]](dict)
        for author, labels in reviews:
            person = self.people.setdefault(author, len(self.people))
            given = yes_or_no(labels)
            for question, answer in given.items():
                answers[question].append((person, answer))
            self.decided[person] += accepted is not None
            self.agreed[person] += accepted is not None and given[VERDICT] != accepted
            for name, value in scales(labels).items():
                on_scales[name][person] = value
        self._write(lang, answers)
        for name, values in on_scales.items():
            if len(values) > 1:
                total, others = sum(values.values()), len(values) - 1
                for person, value in values.items():
                    self.scales[name, lang, person].add(value - (total - value) / others)

    def add_gold(self, lang: str, good: bool, author: UUID, labels: Labels) -> None:
        """Add the answer to a gold message. Only its verdict is known, not what each label should be."""
        person, rejects = self.people.setdefault(author, len(self.people)), consensus.is_rejecting(labels)
        self.checks[person].add_gold(good, rejects)
        self._write(lang, {VERDICT: [(person, rejects)]}, truth=not good)

    def add_repeat(self, author: UUID, first: Labels, second: Labels) -> None:
        """Count a repeated review. It says nothing about the text that the first did not say."""
        checks = self.checks[self.people.setdefault(author, len(self.people))]
        checks.repeated += 1
        checks.repeated_alike += consensus.is_rejecting(first) == consensus.is_rejecting(second)

    def _write(self, lang: str, answers: Mapping[str, list[tuple[int, bool]]], truth: bool | None = None) -> None:
        self.file.write(orjson.dumps([lang, answers, truth]) + b"\n")

    def read(self) -> Iterator[Answers[int, str]]:
        """Yield the answers to each question about each text."""
        self.file.seek(0)
        for line in self.file:
            lang, answers, truth = orjson.loads(line)
            for question, given in answers.items():
                yield Answers(question, lang, given, truth)

    @cached_property
    def shares_of_close(self) -> dict[str, float]:
        """Return for each scale how many of all answers are within one step of the others' mean."""
        close, texts = Counter[str](), Counter[str]()
        for (name, _, _), scale in self.scales.items():
            close[name] += scale.close
            texts[name] += scale.texts
        return {name: close[name] / texts[name] for name in texts}


def _store(collected: _Collected, estimated: Estimate[int, str]) -> None:
    """Replace all earlier estimates."""
    now, ids = timezone.now(), list(collected.people)
    records = (
        ReviewerRecord(
            person_id=ids[person],
            finds=skill.finds,
            spares=skill.spares,
            decided=collected.decided[person],
            agreed=collected.agreed[person],
            **asdict(collected.checks[person]),
            updated_at=now,
        )
        for (question, person), skill in estimated.people.items()
        if question == VERDICT
    )
    _replace(ReviewerRecord, records, ["person"], now)
    _replace(ReviewerSkill, _skills(collected, estimated, ids, now), ["person", "label", "lang"], now)


def _skills(
    collected: _Collected, estimated: Estimate[int, str], ids: list[UUID], now: datetime
) -> Iterator[ReviewerSkill]:
    for (label, lang, person), skill in estimated.skills.items():
        counts = estimated.counts[label, lang, person]
        if counts.texts:
            yield ReviewerSkill(
                person_id=ids[person],
                lang=lang,
                label=label,
                texts=counts.texts,
                differed=counts.differed,
                finds=skill.finds,
                spares=skill.spares,
                updated_at=now,
            )
    for (label, lang, person), scale in collected.scales.items():
        usual = collected.shares_of_close[label]
        yield ReviewerSkill(
            person_id=ids[person],
            lang=lang,
            label=label,
            texts=scale.texts,
            differed=scale.texts - scale.close,
            leans=scale.distance / (scale.texts + PERSON_VOTES),
            close=(scale.close + PERSON_VOTES * usual) / (scale.texts + PERSON_VOTES),
            updated_at=now,
        )


def _replace(model: Any, rows: Iterable[Any], key: list[str], now: datetime) -> None:
    """Insert or update these rows and delete all others."""
    fields = [one.name for one in model._meta.concrete_fields if one.name not in key and not one.primary_key]
    batch: list[Any] = []

    def flush() -> None:
        model.objects.bulk_create(batch, update_conflicts=True, unique_fields=key, update_fields=fields)
        batch.clear()

    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            flush()
    if batch:
        flush()
    model.objects.filter(updated_at__lt=now).delete()
