"""Intervals against published values and by hand."""

import numpy as np
import pytest

from inference.evaluating import intervals


@pytest.mark.parametrize(
    ("right", "number", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_shares_as_newcombe_1998_lists_them(right: int, number: int, low: float, high: float) -> None:
    assert intervals.wilson(right / number, number) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [((56, 70), (48, 80), 0.0524, 0.3339), ((9, 10), (3, 10), 0.1705, 0.8090), ((10, 10), (0, 10), 0.6075, 1.0)],
)
def test_differences_as_newcombe_1998_lists_them(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    found = intervals.difference_of_shares(one[0] / one[1], one[1], other[0] / other[1], other[1])
    assert found == pytest.approx((low, high), abs=5e-5)


def test_nothing_is_known_of_nothing() -> None:
    assert intervals.wilson(0.0, 0) == (0.0, 1.0)
    assert intervals.of_ratio([1.0], [2], rounds=100, seed=1) is None


def test_a_ratio_weighs_by_its_counts() -> None:
    low, high = intervals.of_ratio([1.0, 100.0], [1, 100], rounds=200, seed=1) or (0, 0)
    assert low == high == 1
    low, high = intervals.of_ratio([0.0, 10.0], [10, 10], rounds=400, seed=1) or (0, 0)
    assert (low, high) == (0.0, 1.0)


def test_it_narrows_with_more_groups_and_depends_on_the_seed_alone() -> None:
    chance = np.random.default_rng(5)
    few, many = chance.normal(2, 1, 20), chance.normal(2, 1, 2000)
    ends = [intervals.of_ratio(list(sums), [1] * len(sums), rounds=300, seed=1) for sums in (few, many)]
    assert ends[0] is not None and ends[1] is not None
    assert ends[1][1] - ends[1][0] < (ends[0][1] - ends[0][0]) / 5
    assert intervals.of_ratio(list(few), [1] * 20, rounds=300, seed=1) == ends[0]


def test_whole_groups_are_drawn() -> None:
    found = intervals.of_groups([[1.0, 1.0], [0.0, 0.0]], lambda ones: sum(ones) / len(ones), rounds=300, seed=2)
    assert found == (0.0, 1.0)
