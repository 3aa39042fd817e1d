"""Figures of reward models against golden values and scipy."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from inference.comparing import ranking_metrics as metrics
from inference.comparing.ranking_metrics import Ranking

FOUR = Ranking([3, 5, 1, 0.9], [0, 1, 2, 3], [10, 20, 30, 40])


def test_values_of_the_reference() -> None:
    """Of these four the best beats the worst, τ is 0.667 and ρ 0.8; five of six pairs are in order."""
    assert metrics.best_beats_worst([FOUR]) == 1.0
    assert metrics.kendall_tau(FOUR) == pytest.approx(2 / 3)
    assert metrics.spearman(FOUR) == pytest.approx(0.8)
    assert metrics.accuracy([FOUR]) == pytest.approx(5 / 6)


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 3)), min_size=2, max_size=8))
def test_correlations_are_those_of_scipy(found: list[tuple[int, int]]) -> None:
    scores, ranks = zip(*found, strict=True)
    one = Ranking(scores, ranks)
    if len(set(scores)) == 1 or len(set(ranks)) == 1:
        assert metrics.kendall_tau(one) is None and metrics.spearman(one) is None
        return
    better = [-rank for rank in ranks]
    assert metrics.kendall_tau(one) == pytest.approx(stats.kendalltau(scores, better).statistic, abs=1e-6)
    assert metrics.spearman(one) == pytest.approx(stats.spearmanr(scores, better).statistic, abs=1e-6)


def test_each_ranking_weighs_the_same() -> None:
    assert metrics.accuracy([FOUR, Ranking([0, 1], [0, 1])]) == pytest.approx((5 / 6 + 0) / 2)


def test_ties() -> None:
    assert metrics.accuracy([Ranking([1, 1], [0, 1])]) == 0.5
    assert metrics.accuracy([Ranking([1, 2, 0], [0, 0, 1])]) == 1.0, "of the first two nobody said which is better"
    assert metrics.best_beats_worst([Ranking([1, 2], [0, 0])]) is None


class TestCalibration:
    def test_by_hand(self) -> None:
        """Two pairs of which the model is sure by 0.75: one right, one wrong, so it is too sure by 0.25."""
        apart = math.log(3)
        assert metrics.calibration_error([Ranking([apart, 0], [0, 1]), Ranking([0, apart], [0, 1])]) == pytest.approx(
            0.25
        )

    def test_a_model_that_is_as_sure_as_it_is_right(self) -> None:
        apart = math.log(3)
        right, wrong = Ranking([apart, 0], [0, 1]), Ranking([0, apart], [0, 1])
        assert metrics.calibration_error([right, right, right, wrong]) == pytest.approx(0, abs=1e-9)

    @given(st.lists(st.floats(-1000, 1000), min_size=2, max_size=5))
    def test_it_is_a_share(self, scores: list[float]) -> None:
        found = metrics.calibration_error([Ranking(scores, list(range(len(scores))))])
        assert found is not None and 0 <= found <= 1


class TestLengths:
    def test_a_model_that_counts_words(self) -> None:
        same = [Ranking([1, 2, 3], [0, 1, 2], [10, 20, 30]), Ranking([-5, -4], [0, 1], [10, 20])]
        assert metrics.length_correlation(same) == pytest.approx(1)
        assert metrics.length_correlation([Ranking([2, 1], [0, 1], [10, 20])]) == pytest.approx(-1)

    @given(st.lists(st.tuples(st.floats(-9, 9), st.integers(1, 99)), min_size=3, max_size=8))
    def test_within_one_ranking_it_is_that_of_numpy(self, found: list[tuple[float, int]]) -> None:
        scores, lengths = zip(*found, strict=True)
        assume(np.std(scores) > 1e-3 and np.std(lengths) > 0)
        one = metrics.length_correlation([Ranking(scores, range(len(scores)), lengths)])
        assert one == pytest.approx(np.corrcoef(scores, lengths)[0, 1], abs=1e-6)

    def test_unknown(self) -> None:
        assert metrics.length_correlation([Ranking([2, 1], [0, 1])]) is None
        assert metrics.length_correlation([Ranking([2, 1], [0, 1], [5, 5])]) is None


def test_all_figures() -> None:
    assert set(metrics.figures([FOUR])) == {
        "accuracy",
        "best_beats_worst",
        "kendall_tau",
        "spearman",
        "calibration_error",
        "length_correlation",
    }
    assert metrics.figures([]) == {} and metrics.figures([Ranking([1.0], [0], [3])]) == {}
