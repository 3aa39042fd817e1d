"""Why a text was not accepted, in words for its author: neither who said it nor how many."""

from collections.abc import Iterable, Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from trees.labels import LABELS
from trees.lifecycle.consensus import is_rejecting

REASONS: dict[str, Promise] = {
    "spam": gettext_lazy("it does not belong in the data set"),
    "fails_task": gettext_lazy("it misses the point"),
    "lang_mismatch": gettext_lazy("it is written in another language"),
    "pii": gettext_lazy("it contains personal data"),
    "not_appropriate": gettext_lazy("it is not appropriate"),
    "hate_speech": gettext_lazy("it contains hate speech"),
    "sexual_content": gettext_lazy("it contains sexual content"),
    "moral_judgement": gettext_lazy("it moralizes"),
    "political_content": gettext_lazy("it takes a political side"),
}
"""What reviewers say with each label, as a reason for the author."""


def labels_that_refused(reviews: Iterable[Mapping[str, float | None]]) -> list[str]:
    """Return the labels that reviewers who did not accept a text gave it, in the order in which they are asked.

    `reviews` are the labels of each review of the text that was decided about.
    """
    said = {name for labels in reviews if is_rejecting(labels) for name, value in labels.items() if (value or 0) >= 0.5}
    return [name for name, label in LABELS.items() if name in said and label.widget != "likert"]


def reasons_for(labels: Iterable[str]) -> str:
    """Return what these labels say, as a list within a sentence; empty if none of them is a reason."""
    return "; ".join(str(REASONS[label]) for label in labels if label in REASONS)
