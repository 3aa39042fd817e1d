"""How far reviewers agree beyond chance: Krippendorff's alpha.

Source: K. Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011, section D (any number of raters, missing
answers). Our own code, since the available library is under the GPL; the tests compare the two.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value", bound=Hashable)
Distance = Callable[[Value, Value], float]


def nominal(a: object, b: object) -> float:
    """Return 0.0 for equal answers, else 1.0: for yes and no."""
    return float(a != b)


def interval(a: float, b: float) -> float:
    """Return the squared difference: for scales."""
    return (a - b) ** 2


def alpha(units: Iterable[Mapping[Value, int]], distance: Distance[Value]) -> float | None:
    """Return the agreement: 1 is full agreement, 0 is chance, below 0 is worse than chance.

    Each unit is one judged thing: value → how many people gave it. Units with fewer than two answers do not count.
    None if there is nothing to compare, or if all answers have the same value.
    """
    observed, totals = 0.0, Counter[Value]()
    for unit in units:
        people = sum(unit.values())
        if people < 2:
            continue
        totals.update(unit)
        observed += _spread(unit, distance) / (people - 1)
    answers = sum(totals.values())
    expected = _spread(totals, distance)
    if answers < 2 or not expected:
        return None
    return 1 - (answers - 1) * observed / expected


def _spread(counts: Mapping[Value, int], distance: Distance[Value]) -> float:
    """Return the sum of distances over all ordered pairs of answers."""
    return sum(
        number * other_number * distance(value, other)
        for value, number in counts.items()
        for other, other_number in counts.items()
    )
