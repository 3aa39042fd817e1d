"""How sure a figure is. All intervals hold the true value 95 times of 100."""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
T = TypeVar("T")
_Z = 1.959963984540054
_LOW, _HIGH = 0.025, 0.975


def wilson(share: float, number: float) -> tuple[float, float]:
    """Return the interval of a share of so many (Wilson, 1927). It never shrinks to a point, and stays within 0 and 1.

    It holds for halves too (ties), whose spread is smaller than that of wins and losses.
    """
    if number <= 0:
        return 0.0, 1.0
    middle = (share + _Z**2 / (2 * number)) / (1 + _Z**2 / number)
    reach = _Z / (1 + _Z**2 / number) * math.sqrt(share * (1 - share) / number + _Z**2 / (4 * number**2))
    # At the ends the formula gives them up to rounding.
    return (0.0 if share == 0 else max(middle - reach, 0.0)), (1.0 if share == 1 else min(middle + reach, 1.0))


def difference_of_shares(one: float, one_number: float, other: float, other_number: float) -> tuple[float, float]:
    """Return the interval of `one - other` (Newcombe, 1998, method 10), as if they were of different prompts: for the
    same prompts it is rather too wide.
    """
    (one_low, one_high), (other_low, other_high) = wilson(one, one_number), wilson(other, other_number)
    gap = one - other
    low = gap - math.hypot(one - one_low, other_high - other)
    return max(low, -1.0), min(gap + math.hypot(one_high - one, other - other_low), 1.0)


def draws(groups: int, rounds: int, seed: int) -> NDArray[np.int64]:
    """Return how often each group is drawn in each round, of shape (rounds, groups)."""
    chance = np.random.default_rng(seed)
    return chance.multinomial(groups, [1 / groups] * groups, size=rounds)


def of_ratio(sums: Sequence[float], counts: Sequence[float], *, rounds: int, seed: int) -> tuple[float, float] | None:
    """Return the interval of sum of `sums` / sum of `counts`; a group has one of each (Efron, 1979).

    None with less than two groups, which say nothing about how groups differ.
    """
    ratios = ratios_drawn(sums, counts, rounds=rounds, seed=seed)
    return None if ratios is None else quantiles(ratios)


def ratios_drawn(sums: Sequence[float], counts: Sequence[float], *, rounds: int, seed: int) -> Array | None:
    """Return the ratio in each round. The same seed draws the same groups, so that two models can be compared."""
    if len(sums) < 2 or not np.isfinite(sums).all():
        return None
    times = draws(len(sums), rounds, seed).astype(float)
    totals = times @ np.array(counts, dtype=float)
    ratios: Array = (times @ np.array(sums, dtype=float))[totals > 0] / totals[totals > 0]
    return ratios


def of_groups(
    groups: Sequence[Sequence[T]], statistic: Callable[[Sequence[T]], float | None], *, rounds: int, seed: int
) -> tuple[float, float] | None:
    """Return the interval of any statistic when whole groups are drawn."""
    if len(groups) < 2:
        return None
    found = []
    for times in draws(len(groups), rounds, seed):
        drawn = [one for group, often in zip(groups, times, strict=True) for one in list(group) * int(often)]
        value = statistic(drawn)
        found += [value] if value is not None and math.isfinite(value) else []
    return quantiles(np.array(found)) if found else None


def quantiles(values: Array) -> tuple[float, float] | None:
    if not len(values):
        return None
    low, high = np.quantile(values, [_LOW, _HIGH])
    return float(low), float(high)
