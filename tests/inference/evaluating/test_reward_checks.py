"""The figures of a reward model against hand-computed ones, with intervals over trees."""

import pytest

from inference.comparing.ranking_metrics import Ranking
from inference.evaluating import reward_checks
from inference.evaluating.settings import Settings

RIGHT, WRONG = Ranking([3, 2, 1], [0, 1, 2], [5, 9, 1]), Ranking([1, 2], [0, 1], [2, 3])


def test_each_ranking_weighs_the_same() -> None:
    found = reward_checks.measures([("1", "en", RIGHT), ("2", "de", WRONG)], Settings(rounds=100))
    values = {name.removeprefix("reward_model."): one.model for name, one in found.items()}
    assert values["accuracy"].value == 0.5 and values["best_beats_worst"].value == 0.5
    assert values["accuracy.en"].value == 1 and values["accuracy.de"].value == 0
    assert values["margin"].value == pytest.approx(((1 + 2 + 1) / 3 - 1) / 2)
    assert values["kendall_tau"].value == 0
    accuracy = values["accuracy"]
    assert accuracy.low is not None and accuracy.high is not None and accuracy.low <= 0.1 and accuracy.high >= 0.9


def test_a_few_that_are_all_right_are_not_certain() -> None:
    found = reward_checks.measures([("1", "en", RIGHT), ("2", "en", RIGHT)], Settings(rounds=100))
    accuracy = found["reward_model.accuracy"].model
    assert accuracy.value == 1 and accuracy.low is not None and accuracy.low < 0.5


def test_ties_alone_say_nothing() -> None:
    found = reward_checks.measures([("1", "en", Ranking([1, 2], [0, 0], [1, 1]))], Settings(rounds=100))
    accuracy = found["reward_model.accuracy"].model
    assert accuracy.value is None and "no rankings in the test part" in accuracy.cause
