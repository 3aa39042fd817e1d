"""How answers to each label are compared."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from trees.labels import LABELS
from trees.statistics.krippendorff import Answers, Distance

STEPS = 20  # of a scale; the five answers of the review form are among them


def distance_of(label: str) -> Distance:
    """Return how two answers to a label are compared: yes and no as such, scales by difference.

    The scales have two named ends and equal steps between them, and exports and models average their answers, so what
    has to be reliable is the number (decision 109).
    """
    return Distance.INTERVAL if LABELS[label].widget == "likert" else Distance.NOMINAL


def answers_by_label(reviews: Iterable[Mapping[str, float | None]]) -> dict[str, Answers]:
    """Return label → the answers of all reviews of one text, sorted. Unanswered and unknown labels are left out.

    Half or more is a yes, as in decisions about a text. Scales are rounded to STEPS steps, since clients may send any
    number, and the cost of all statistics grows with the number of different answers.
    """
    answers: dict[str, list[float]] = defaultdict(list)
    for labels in reviews:
        for name, value in labels.items():
            if value is not None and name in LABELS:
                on_scale = LABELS[name].widget == "likert"
                answers[name].append(round(value * STEPS) / STEPS if on_scale else float(value >= 0.5))
    return {name: tuple(sorted(values)) for name, values in answers.items()}
