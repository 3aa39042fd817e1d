"""Fits and figures, compared with scikit-learn 1.7.2."""

import math
import random

import numpy as np
import pytest
from numpy.typing import NDArray

from trees.quality import linear
from trees.quality.assessment import assess, auc

Floats = NDArray[np.float64]

# Made by scikit-learn 1.7.2 from `sample()`: LogisticRegression(C=1 / penalty, tol=1e-14, solver="newton-cholesky"),
# Ridge(alpha=1), roc_auc_score(answers, predicted, sample_weight=...), brier_score_loss. The constant comes last.
LOGISTIC = {
    1: [1.839651988, -0.50298139, -0.105202666, 0.110011577, 0.206771395],
    10: [0.963979553, -0.206585382, -0.083532312, 0.069721404, 0.09027524],
}
RIDGE = [-0.002121943, -0.020887606, 0.188588087, -0.105767999, 0.50813714]
AUC, WEIGHTED_AUC, BRIER = 0.8799249530956849, 0.8836118052051206, 0.1505


def sample() -> tuple[NDArray[np.float32], Floats, Floats, Floats]:
    """Return rows, answers of 0 or 1, answers between, and predictions, many of them equal."""
    dice = random.Random(7)
    rows = np.array([[round(dice.gauss(0, 1), 3) for _ in range(4)] for _ in range(80)])
    answers = [float(dice.random() < 1 / (1 + math.exp(-(1.5 * row[0] - row[1] + 0.5)))) for row in rows]
    scales = [round(min(1, max(0, 0.5 + 0.2 * row[2] - 0.1 * row[3] + dice.gauss(0, 0.1))), 3) for row in rows]
    predicted = [round(1 / (1 + math.exp(-(row[0] - 0.5 * row[1]))), 1) for row in rows]
    return rows.astype(np.float32), np.array(answers), np.array(scales), np.array(predicted)


class TestFits:
    @pytest.mark.parametrize("penalty", LOGISTIC)
    def test_logistic_regression(self, penalty: float) -> None:
        rows, answers, _, _ = sample()
        assert linear.fit_logistic(rows, answers, penalty=penalty) == pytest.approx(LOGISTIC[int(penalty)], abs=1e-7)

    def test_ridge_regression(self) -> None:
        rows, _, scales, _ = sample()
        assert linear.fit_ridge(rows, scales, penalty=1) == pytest.approx(RIDGE, abs=1e-7)

    def test_chunks_change_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rows, answers, _, _ = sample()
        whole = linear.fit_logistic(rows, answers)
        monkeypatch.setattr(linear, "CHUNK", 7)
        assert linear.fit_logistic(rows, answers) == pytest.approx(whole, abs=1e-12)

    def test_the_same_rows_give_the_same_weights(self) -> None:
        rows, answers, _, _ = sample()
        assert np.array_equal(linear.fit_logistic(rows, answers), linear.fit_logistic(rows, answers))

    @pytest.mark.parametrize("size", [1.0, 1e4])
    def test_perfectly_separable_texts_have_finite_weights(self, size: float) -> None:
        rows = np.array([[size], [size], [-size], [-size]], dtype=np.float32)
        weights = linear.fit_logistic(rows, np.array([1.0, 1, 0, 0]))
        assert np.isfinite(weights).all()
        assert linear.probability(linear.linear_predictor(rows, weights)) == pytest.approx([1, 1, 0, 0], abs=0.35)

    def test_columns_of_zeros(self) -> None:
        rows = np.zeros((4, 3), dtype=np.float32)
        weights = linear.fit_logistic(rows, np.array([1.0, 1, 1, 0]))
        assert linear.probability(linear.linear_predictor(rows, weights)) == pytest.approx([0.75] * 4)


class TestFigures:
    def test_auc_with_ties_and_weights(self) -> None:
        _, answers, _, predicted = sample()
        assert auc(predicted, answers) == pytest.approx(AUC, abs=1e-12)
        assert auc(predicted, answers, np.arange(1.0, 81)) == pytest.approx(WEIGHTED_AUC, abs=1e-12)

    def test_texts_of_one_kind_have_no_auc(self) -> None:
        assert auc(np.array([0.1, 0.2]), np.ones(2)) == 0.5

    @pytest.mark.parametrize(
        ("good", "bad", "area"),
        [([1, 1], [0, 0], 1), ([0.5], [0.5], 0.5), ([0], [1], 0), ([0.8, 0.4, 0.35], [0.1, 0.35, 0.6], 6.5 / 9)],
    )
    def test_auc_counts_pairs(self, good: list[float], bad: list[float], area: float) -> None:
        answers = np.array([1.0] * len(good) + [0.0] * len(bad))
        assert auc(np.array([*good, *bad]), answers) == pytest.approx(area)

    def test_predictions_are_held_against_the_base_rate(self) -> None:
        _, answers, _, predicted = sample()
        base = np.full(80, answers.mean())
        found = assess(predicted, base, answers, np.arange(80), binary=True)
        assert found.brier == pytest.approx(BRIER, abs=1e-12) and found.auc == pytest.approx(AUC, abs=1e-12)
        assert found.base_brier == pytest.approx(answers.mean() * (1 - answers.mean()))
        assert found.skill == pytest.approx(1 - BRIER / found.base_brier)
        assert found.skill_low < found.skill < found.skill_high and found.is_useful
        assert found.auc_low is not None and found.auc_high is not None
        assert found.auc_low < AUC < found.auc_high
        assert found.lowest_texts == 4 and found.lowest_mean == 0
        assert sum(one.texts for one in found.bins) == 80 and len(found.bins) == 10
        assert [one.predicted for one in found.bins] == sorted(one.predicted for one in found.bins)
        assert all(0 <= one.low <= one.actual <= one.high <= 1 for one in found.bins)
        assert found == assess(predicted, base, answers, np.arange(80), binary=True), "the same figures each time"

    def test_noise_is_not_useful(self) -> None:
        dice = np.random.default_rng(4)
        answers, predicted = (dice.random(400) < 0.8).astype(float), dice.random(400) * 0.2 + 0.7
        assert not assess(predicted, np.full(400, answers.mean()), answers, np.arange(400), binary=True).is_useful

    def test_texts_of_one_conversation_count_once(self) -> None:
        """Ten copies of each text are not ten times the evidence."""
        _, answers, _, predicted = sample()
        base = np.full(80, answers.mean())
        once = assess(predicted, base, answers, np.arange(80), binary=True)
        copies = [np.repeat(array, 10) for array in (predicted, base, answers, np.arange(80))]
        apart = assess(*copies[:3], np.arange(800), binary=True)
        together = assess(*copies, binary=True)
        assert together.skill_low == pytest.approx(once.skill_low, abs=1e-9)
        assert together.skill_low < apart.skill_low

    def test_answers_on_a_scale(self) -> None:
        _, _, scales, _ = sample()
        found = assess(scales, np.full(80, scales.mean()), scales, np.arange(80), binary=False)
        assert found.skill == 1 and found.auc is None and found.is_useful

    def test_all_answers_the_same(self) -> None:
        found = assess(np.full(5, 0.9), np.ones(5), np.ones(5), np.arange(5), binary=True)
        assert not found.is_useful and found.skill == 0
