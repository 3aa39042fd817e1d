"""The simulation of rules for reviews: repeatable, and honest about both kinds of error."""

from dataclasses import replace
from statistics import mean

import pytest
from django.core.management import CommandError, call_command

from oasst.simulation.reviewing.approaches import approaches
from oasst.simulation.reviewing.bound import least_reviews
from oasst.simulation.reviewing.crowds import MIXES
from oasst.simulation.reviewing.order import DEFERRED_HOURS, LOADS, ORDERS, Load, play
from oasst.simulation.reviewing.play import Approach, Outcome, Play, interval
from trees.lifecycle.consensus import MajorityRule
from trees.lifecycle.policy import TreePolicy

TEXTS = 4_000
SEEDS = (1, 2, 3)
APPROACHES = {approach.name: approach for approach in approaches(TreePolicy())}
FIXED, TODAY, WEIGHTED, _, WITH_GOLD, MODEL = APPROACHES.values()


def outcome(approach: Approach, mix: str = "mixed", seed: int = 3) -> Outcome:
    return Play(MIXES[mix], approach, seed=seed).run(TEXTS)


def test_todays_rule_decides_like_the_fixed_number() -> None:
    fixed, today = outcome(FIXED), outcome(TODAY)
    assert fixed.reviews_per_text == 3
    assert (today.bad_accepted, today.good_rejected) == (fixed.bad_accepted, fixed.good_rejected)
    assert today.reviews_per_text == pytest.approx(2.28, abs=0.05)


@pytest.mark.parametrize(("approach", "saved"), [(WEIGHTED, 0.2), (WITH_GOLD, 0.2), (MODEL, 0.4)])
def test_weighing_saves_and_errs_no_more_where_people_differ(approach: Approach, saved: float) -> None:
    fixed, weighted = (sum((outcome(one, seed=seed) for seed in SEEDS), Outcome()) for one in (FIXED, approach))
    assert weighted.reviews_per_text < 3 * (1 - saved)
    # No more than three reviews, but for chance: the limits are for an average crowd.
    assert weighted.bad_accepted <= interval(fixed.bad_accepted, fixed.bad)[1] * weighted.bad
    assert weighted.good_rejected <= interval(fixed.good_rejected, fixed.good)[1] * weighted.good


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


@pytest.mark.parametrize("load", LOADS[:2])
def test_deferring_likely_rejections_helps_good_texts_and_delays_none_by_more_than_a_day(load: Load) -> None:
    rule = MajorityRule(3, 0.6)
    oldest, deferred, rejected_first = (
        play(MIXES["mixed"], load, ORDERS[name], rule, hours=96, seed=2)
        for name in ("oldest first", "likely rejected ones a day later", "likely rejected first")
    )
    assert mean(deferred.good) < mean(oldest.good) < mean(rejected_first.good)
    assert max(deferred.good) < max(oldest.good) + DEFERRED_HOURS
    assert len(oldest.good + oldest.bad) == len(deferred.good + deferred.bad), "the same texts in each order"


class TestBound:
    def test_it_is_what_can_be_computed_by_hand(self) -> None:
        """With equal reviewers, two equal votes decide like two of three, and no other rule does with fewer reviews."""
        right, wrong = 0.95, 0.05
        split = 2 * right * wrong
        least = least_reviews(MIXES["careful"])
        assert 2 <= least <= 2 + split + 0.01

    @pytest.mark.parametrize("mix", ["mixed", "careless"])
    def test_todays_rule_which_errs_as_three_reviews_do_stays_above_it(self, mix: str) -> None:
        assert least_reviews(MIXES[mix]) < outcome(TODAY, mix).reviews_per_text


def test_gold_messages_cost_their_share() -> None:
    with_gold = Play(MIXES["mixed"], replace(TODAY, gold_share=0.05), seed=3).run(TEXTS)
    assert with_gold.reviews == pytest.approx(outcome(TODAY).reviews / 0.95, rel=0.02)
    assert with_gold.bad_accepted == outcome(TODAY).bad_accepted


def test_seeds_are_added_up() -> None:
    assert (outcome(FIXED) + outcome(FIXED, seed=4)).reviews == 2 * 3 * TEXTS
