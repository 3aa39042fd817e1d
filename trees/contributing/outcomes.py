"""What the reviewers of one text said together, question by question, and whether an answer agrees with them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from uuid import UUID

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from trees.labels import LABELS, SPAM, Label
from trees.models import Message, Review

Labels = Mapping[str, float | None]

LEAST_ANSWERS = 2  # one reviewer alone is no outcome
ONE_STEP = 0.25  # between two answers on a scale
UNSAFE = ("toxicity", "violence", "not_appropriate", "hate_speech", "sexual_content", "pii")
UNSAFE_FROM = 0.3  # a mean from which on a text is not shown to strangers; one of three reviewers is enough


@dataclass(frozen=True)
class Outcome:
    """The answers of all reviewers to one question about one text."""

    label: Label
    mean: float
    """From 0 to 1. Of a question with yes and no: the share of yes."""
    count: int

    @property
    def is_scale(self) -> bool:
        return self.label.widget == "likert"

    @property
    def yes(self) -> int:
        """How many said yes, or ticked the box."""
        return round(self.mean * self.count)

    @property
    def is_divided(self) -> bool:
        """Return True if as many said yes as no, so that every answer is as good."""
        return not self.is_scale and 2 * self.yes == self.count

    @property
    def in_words(self) -> str:
        """Say what most reviewers said: "No, said 3 of 3", "4.3 of 5"."""
        if self.is_scale:
            return point_in_words(self.label, self.mean)
        if self.is_divided:
            return _("They were divided")
        no = self.count - self.yes
        if self.count == 1:  # an example, judged by its makers
            return _("Yes") if self.yes else _("No")
        if self.yes > no:
            return _("Yes, said %(some)d of %(all)d") % {"some": self.yes, "all": self.count}
        return _("No, said %(some)d of %(all)d") % {"some": no, "all": self.count}

    def agrees(self, answer: float) -> bool:
        """Return True if this answer is on the side of most, or within one step of the mean on a scale."""
        if self.is_scale:
            return abs(answer - self.mean) <= ONE_STEP + 1e-9
        return self.is_divided or (answer >= 0.5) == (2 * self.yes > self.count)


def point_in_words(label: Label, value: float) -> str:
    """Return a stored value of a scale, from 0 to 1, as the place that pages show: "4.3 of 5"."""
    point = round(label.point(value), 1)
    return _("%(point)s of 5") % {"point": number_format(point, decimal_pos=1 if point % 1 else 0)}


def read_labels(messages: Collection[Message]) -> dict[UUID, list[Labels]]:
    """Return the labels of all reviews of the present text, by message. One statement, none without messages."""
    by_revision: dict[UUID, list[Labels]] = {message.revision_id: [] for message in messages}
    rows = Review.objects.filter(revision__in=by_revision, kind=Review.Kind.REVIEW)
    for revision_id, labels in rows.values_list("revision_id", "labels") if messages else ():
        by_revision[revision_id].append(labels)
    return {message.pk: by_revision[message.revision_id] for message in messages}


def outcomes_of(reviews: Iterable[Labels], message: Message | None = None) -> dict[str, Outcome]:
    """Return label → outcome for each question that enough reviewers answered, in the order of the table of labels.

    `reviews` are those of the present text. With `message`, the means that its file brought count too.
    """
    totals: dict[str, list[float]] = defaultdict(list)
    for labels in reviews:
        for name, value in labels.items():
            # A box that was shown and left empty is a no (tasks.forms stores it as unanswered).
            if name in LABELS and LABELS[name].widget == "flag":
                totals[name].append(float((value or 0) >= 0.5))
            elif name in LABELS and value is not None:
                totals[name].append(value)
    result = {}
    for name, label in LABELS.items():
        mean, count = _imported_mean(message, name)
        total = count + len(totals[name])
        if total >= LEAST_ANSWERS:
            result[name] = Outcome(label, (mean * count + sum(totals[name])) / total, total)
    return result


def _imported_mean(message: Message | None, name: str) -> tuple[float, int]:
    """Return the mean and count of a file, or zeros: it may hold anything, and is about the text before an edit."""
    given = {} if message is None or message.edited else message.given.get("labels")
    label = given.get(name) if isinstance(given, dict) else None
    value, count = (label.get("value"), label.get("count")) if isinstance(label, dict) else (None, None)
    if not isinstance(value, int | float) or not isinstance(count, int | float):
        return 0.0, 0
    return (float(value), int(count)) if isfinite(count) and 0 <= value <= 1 and 0 < count < 10_000 else (0.0, 0)


def is_safe(outcomes: Mapping[str, Outcome]) -> bool:
    """Return True if hardly any reviewer found the text rude, violent, private or otherwise unfit for strangers."""
    return all(outcomes[name].mean < UNSAFE_FROM for name in UNSAFE if name in outcomes)


def verdicts(outcomes: Mapping[str, Outcome]) -> list[str]:
    """Return the main results in words, for a line under a message: "3 of 3 kept it", "quality 4.3 of 5"."""
    words = []
    if spam := outcomes.get(SPAM):
        text = ngettext("%(some)d of %(all)d kept it", "%(some)d of %(all)d kept it", spam.count)
        words.append(text % {"some": spam.count - spam.yes, "all": spam.count})
    if quality := outcomes.get("quality"):
        words.append(_("quality %(point)s") % {"point": quality.in_words})
    if helpfulness := outcomes.get("helpfulness"):
        words.append(_("helpfulness %(point)s") % {"point": helpfulness.in_words})
    return words
