"""Stopping when the outcome is certain changes no decision and saves about a quarter of the reviews."""

import pytest

from tests.simulation.saved_reviews import CROWDS, simulate


def test_about_a_quarter_is_saved() -> None:
    assert 0.23 < simulate(messages=20_000, seed=1).saved < 0.26


@pytest.mark.parametrize("crowd", CROWDS)
@pytest.mark.parametrize(("wanted", "threshold"), [(1, 0.6), (2, 0.6), (3, 0.6), (4, 0.5), (5, 0.6), (7, 0.9)])
def test_every_decision_is_that_of_the_fixed_number(crowd: str, wanted: int, threshold: float) -> None:
    found = simulate(messages=1_000, seed=2, crowd=CROWDS[crowd], wanted=wanted, threshold=threshold)
    assert (found.different, found.superfluous) == (0, 0)
    assert found.needed <= found.fixed
