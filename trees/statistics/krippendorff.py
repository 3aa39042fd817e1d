"""How far people agree beyond chance when they answer the same question: Krippendorff's alpha.

Source: K. Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011, section D (any number of people, missing
answers) and E (distances). Our own code, since the available library is under the GPL; the tests compare the two.

A unit is one judged thing, written as the tuple of its answers. Units with the same answers are computed as one, and no
sum runs over pairs of answers, so the cost depends on the number of different units alone.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from trees.statistics import bootstrap
from trees.statistics.bootstrap import Interval

Answers = tuple[float, ...]
Units = Iterable[Answers] | Mapping[Answers, int]
"""The units one by one, or how many units have each answers (a Counter), which takes little memory for many units."""


class Distance(StrEnum):
    NOMINAL = "nominal"  # equal or not: for yes and no, and for names
    ORDINAL = "ordinal"  # how many answers lie between: for scales that only have an order
    INTERVAL = "interval"  # difference: for scales with equal steps, whose answers may be averaged


def alpha(units: Units, distance: Distance) -> float | None:
    """Return the agreement: 1 is full agreement, 0 is chance, below 0 is worse than chance.

    Units with fewer than two answers do not count. None if there is nothing to compare, or if all answers are equal.
    """
    contents = _contents(units)
    return _Comparison(contents, distance).alpha(list(contents.values())) if _differ(contents) else None


def alpha_interval(
    units: Units,
    distance: Distance,
    *,
    rounds: int = bootstrap.ROUNDS,
    seed: int = bootstrap.SEED,
    confidence: float = bootstrap.CONFIDENCE,
) -> Interval | None:
    """Return the interval of alpha by resampling units (trees.statistics.bootstrap).

    None where alpha is None, and for fewer than two units with two or more answers.
    """
    contents = _contents(units)
    if not _differ(contents):
        return None
    statistic = _Comparison(contents, distance).alpha
    return bootstrap.interval_of(list(contents.values()), statistic, rounds=rounds, seed=seed, confidence=confidence)


def comparable(units: Units) -> int:
    """Return the number of units that alpha counts: those with two or more answers."""
    return sum(_contents(units).values())


def _contents(units: Units) -> dict[Answers, int]:
    """Return how many units have each answers, without single answers, in an order that does not depend on the input's,
    so that all sums are rounded in the same way.
    """
    counts: Counter[Answers] = Counter()
    for answers, number in Counter(units).items():
        if len(answers) > 1:
            counts[tuple(sorted(answers))] += number
    return dict(sorted(counts.items()))


def _differ(contents: Iterable[Answers]) -> bool:
    """Return True if there are two different answers."""
    return len({answer for answers in contents for answer in answers}) > 1


class _Comparison:
    """Different units, each once, prepared for computing alpha with many weights."""

    def __init__(self, contents: Iterable[Answers], distance: Distance) -> None:
        self.counts = [Counter(answers) for answers in contents]
        self.distance = distance
        # Ordinal distances depend on the weights, the others do not.
        answers = {answer: 1.0 for counts in self.counts for answer in counts}
        self.spreads = self._spreads(self._scores(answers)) if distance != Distance.ORDINAL else None

    def alpha(self, weights: Sequence[float]) -> float:
        """Return alpha where `weights` says how often each unit occurs."""
        totals: dict[float, float] = {}
        for counts, weight in zip(self.counts, weights, strict=True):
            for answer, people in counts.items():
                totals[answer] = totals.get(answer, 0.0) + weight * people
        scores = self._scores(totals)
        spreads = self.spreads or self._spreads(scores)
        observed = sum(weight * spread for weight, spread in zip(weights, spreads, strict=True))
        return 1 - (sum(totals.values()) - 1) * observed / _spread(totals, scores)

    def _spreads(self, scores: Mapping[float, float] | None) -> list[float]:
        """Return the sum of distances within each unit, divided by its number of people - 1."""
        return [_spread(counts, scores) / (counts.total() - 1) if len(counts) > 1 else 0.0 for counts in self.counts]

    def _scores(self, totals: Mapping[float, float]) -> dict[float, float] | None:
        """Return a score for each answer; the distance of two answers is the squared difference of their scores.

        None for the nominal distance, which is 1 between any two answers.
        """
        if self.distance == Distance.NOMINAL:
            return None
        if self.distance == Distance.INTERVAL:
            return {answer: answer for answer in totals}
        # The answers from one to another, the two themselves counted by half, are the difference of their midranks.
        scores, below = {}, 0.0
        for answer in sorted(totals):
            scores[answer] = below + totals[answer] / 2
            below += totals[answer]
        return scores


def _spread(counts: Mapping[float, float], scores: Mapping[float, float] | None) -> float:
    """Return the sum of distances over all ordered pairs of answers."""
    people = sum(counts.values())
    if scores is None:
        return people**2 - sum(number**2 for number in counts.values())
    mean = sum(number * scores[answer] for answer, number in counts.items()) / people
    return 2 * people * sum(number * (scores[answer] - mean) ** 2 for answer, number in counts.items())
