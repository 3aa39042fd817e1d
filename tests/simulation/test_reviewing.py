"""The simulation of rules for reviews: repeatable, and honest about both kinds of error."""

import pytest
from django.core.management import CommandError, call_command

from oasst.simulation.reviewing.approaches import approaches
from oasst.simulation.reviewing.crowds import MIXES
from oasst.simulation.reviewing.play import Approach, Outcome, Play, interval
from trees.lifecycle.policy import TreePolicy

TEXTS = 4_000
APPROACHES = {approach.name: approach for approach in approaches(TreePolicy())}
FIXED, TODAY, WEIGHTED, _, MODEL = APPROACHES.values()


def outcome(approach: Approach, mix: str = "mixed", seed: int = 3) -> Outcome:
    return Play(MIXES[mix], approach, seed=seed).run(TEXTS)


def test_todays_rule_decides_like_the_fixed_number() -> None:
    fixed, today = outcome(FIXED), outcome(TODAY)
    assert fixed.reviews_per_text == 3
    assert (today.bad_accepted, today.good_rejected) == (fixed.bad_accepted, fixed.good_rejected)
    assert today.reviews_per_text == pytest.approx(2.28, abs=0.05)


@pytest.mark.parametrize(("approach", "saved"), [(WEIGHTED, 0.2), (MODEL, 0.4)])
def test_weighing_saves_and_errs_no_more_where_people_differ(approach: Approach, saved: float) -> None:
    fixed, weighted = outcome(FIXED), outcome(approach)
    assert weighted.reviews_per_text < 3 * (1 - saved)
    assert weighted.bad_accepted <= fixed.bad_accepted
    assert weighted.good_rejected <= fixed.good_rejected


def test_the_same_seed_gives_the_same_figures() -> None:
    assert outcome(WEIGHTED) == outcome(WEIGHTED) != outcome(WEIGHTED, seed=4)


def test_the_interval() -> None:
    assert interval(50, 1000) == pytest.approx((0.0381, 0.0653), abs=1e-4)  # a textbook example
    assert interval(0, 0) == (0, 1)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("simulate_reviews", crowd="careful", texts=300)
    said = capsys.readouterr().out
    assert all(name in said for name in APPROACHES)
    with pytest.raises(CommandError):
        call_command("simulate_reviews", texts=0)
