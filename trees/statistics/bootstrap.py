"""Intervals by resampling: what an estimate would have been had other texts been judged.

The Bayesian bootstrap draws for each unit a weight from the exponential distribution, where Efron's bootstrap draws how
often the unit is taken. Both give the same intervals in large samples. Here it has two advantages: the weights of all
units with the same content together are one draw from a gamma distribution, so that a round costs as much as there are
different units; and no unit ever has weight zero, so that every round has an estimate.

Source: D. B. Rubin, "The Bayesian Bootstrap", The Annals of Statistics 9, 1981.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

ROUNDS = 1000
SEED = 1
CONFIDENCE = 0.95
MAX_DRAWS = 2_000_000  # of random numbers
MIN_ROUNDS = 100


class Interval(NamedTuple):
    low: float
    high: float


def interval_of(
    counts: Sequence[int],
    statistic: Callable[[Sequence[float]], float],
    *,
    rounds: int = ROUNDS,
    seed: int = SEED,
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Return the percentile interval of `statistic`, widened where needed to contain the estimate itself.

    `counts` says how many units have each content. `statistic` gets a weight for each content in their place; the
    weights sum to the number of units. With more contents than MAX_DRAWS allows there are fewer rounds, at least
    MIN_ROUNDS. None for fewer than two units. With a handful of units the interval is too narrow, as any bootstrap is.
    """
    units = sum(counts)
    if units < 2:
        return None
    rounds = min(rounds, max(MIN_ROUNDS, MAX_DRAWS // len(counts)))
    dice = random.Random(seed)
    estimates = [statistic([float(count) for count in counts])]
    for _ in range(rounds):
        draws = [dice.gammavariate(count, 1.0) for count in counts]
        scale = units / math.fsum(draws)
        estimates.append(statistic([draw * scale for draw in draws]))
    estimate, *resampled = estimates
    resampled.sort()
    tail = (1 - confidence) / 2
    return Interval(min(estimate, _quantile(resampled, tail)), max(estimate, _quantile(resampled, 1 - tail)))


def ratio_interval(
    parts: Iterable[tuple[float, float]] | Mapping[tuple[float, float], int],
    *,
    rounds: int = ROUNDS,
    seed: int = SEED,
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Return the interval of sum(a) / sum(b) over units (a, b); of the mean if every b is 1.

    `parts` are the units one by one, or how many there are of each. Units with b = 0 do not count; None for fewer than
    two others.
    """
    contents = sorted((part, number) for part, number in Counter(parts).items() if part[1])
    above, below = [a for (a, _), _ in contents], [b for (_, b), _ in contents]

    def ratio(weights: Sequence[float]) -> float:
        return _dot(weights, above) / _dot(weights, below)

    return interval_of([count for _, count in contents], ratio, rounds=rounds, seed=seed, confidence=confidence)


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return the quantile by linear interpolation between neighbors (type 7 of Hyndman and Fan, 1996)."""
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])
