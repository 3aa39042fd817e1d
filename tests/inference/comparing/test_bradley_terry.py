"""Strengths against `choix`, which maximizes the same likelihood, and against scipy."""

import choix
import numpy as np
import pytest
from scipy import optimize

from inference.comparing.bradley_terry import Comparisons, fit, intervals

MODELS = ("a", "b", "c", "d")


def drawn(number: int = 300, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return who played whom, and who won, of models of known strength."""
    chance = np.random.default_rng(seed)
    strengths = np.array([1.0, 0.3, -0.2, -1.1])
    left = chance.integers(0, 4, number)
    right = (left + chance.integers(1, 4, number)) % 4
    won = chance.random(number) < 1 / (1 + np.exp(strengths[right] - strengths[left]))
    return left, right, won.astype(float)


def test_without_a_prior_it_is_the_maximum_of_the_likelihood() -> None:
    left, right, won = drawn()
    data = [(one, other) if first else (other, one) for one, other, first in zip(left, right, won, strict=True)]
    expected = choix.opt_pairwise(4, data, tol=1e-12)
    found = fit(Comparisons(MODELS, left, right, won), prior=0)
    assert found.values == pytest.approx(expected - expected.mean(), abs=1e-6)


def test_ties_and_a_prior_by_an_independent_optimizer() -> None:
    left, right, won = drawn(80, seed=5)
    won[::5] = 0.5

    def cost(values: np.ndarray) -> float:
        apart = values[left] - values[right]
        ties_with_average = np.logaddexp(0, values) / 2 + np.logaddexp(0, -values) / 2
        return float(
            (won * np.logaddexp(0, -apart) + (1 - won) * np.logaddexp(0, apart)).sum() + ties_with_average.sum()
        )

    best = optimize.minimize(cost, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x
    found = fit(Comparisons(MODELS, left, right, won))
    assert found.values == pytest.approx(best - best.mean(), abs=1e-6)
    assert found.chance(0, 3) == pytest.approx(1 / (1 + np.exp(best[3] - best[0])), abs=1e-6)


def test_one_who_won_all_is_not_infinitely_strong() -> None:
    found = fit(Comparisons(("a", "b"), np.zeros(9, int), np.ones(9, int), np.ones(9)))
    assert 0 < found.values[0] < 5 and found.values.sum() == pytest.approx(0)


def test_what_the_form_of_an_answer_is_worth_is_taken_out() -> None:
    """Two equal models, of which one writes at length, before people who like that."""
    chance = np.random.default_rng(1)
    longer = chance.normal(1.0, 1.0, 4000)
    won = (chance.random(4000) < 1 / (1 + np.exp(-0.8 * longer))).astype(float)
    zeros, ones = np.zeros(4000, int), np.ones(4000, int)
    plain = fit(Comparisons(("a", "b"), zeros, ones, won))
    controlled = fit(Comparisons(("a", "b"), zeros, ones, won, styles=longer[:, None]))
    assert plain.values[0] - plain.values[1] > 0.5
    assert abs(controlled.values[0] - controlled.values[1]) < 0.15
    assert controlled.styles == pytest.approx([0.8], abs=0.15)


class TestIntervals:
    def test_they_contain_the_estimate_and_shrink_with_more_votes(self) -> None:
        few, many = (Comparisons(MODELS, *drawn(number)) for number in (60, 1500))
        for found, widest in ((few, 4.0), (many, 0.8)):
            values = fit(found).values
            for one, value in zip(intervals(found, rounds=60), values, strict=True):
                assert one.low <= value <= one.high and one.high - one.low < widest

    def test_one_person_who_said_all_tells_less_than_many(self) -> None:
        left, right, won = drawn(200)
        by_many = intervals(Comparisons(MODELS, left, right, won), rounds=60)
        by_four = intervals(Comparisons(MODELS, left, right, won, people=np.arange(200) // 50), rounds=60)
        assert by_many[0].high - by_many[0].low != by_four[0].high - by_four[0].low

    def test_the_same_seed_gives_the_same_intervals(self) -> None:
        found = Comparisons(MODELS, *drawn(40))
        assert intervals(found, rounds=20) == intervals(found, rounds=20)


def test_nobody_compared_anything() -> None:
    none = Comparisons(MODELS, np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    assert fit(none).values == pytest.approx([0, 0, 0, 0])
    assert [one.middle for one in intervals(none, rounds=5)] == pytest.approx([0, 0, 0, 0])
