"""Agreement of rankings and scores from them, compared with published examples and reference implementations."""

import random
from itertools import combinations, permutations
from math import comb, exp, inf, log

import choix
import numpy as np
import pytest
from choix.opt import PairwiseFcts, Top1Fcts
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from trees.statistics.rankings import (
    Concordance,
    PairAgreement,
    bradley_terry,
    kendall_w,
    pair_wins,
    pairwise_agreement,
    plackett_luce,
)

# Three people and twenty subjects, with ties: `anxiety` of the R packages irr and DescTools.
ANXIETY = ([3, 3, 3, 4, 5, 5, 2, 3, 5, 2, 2, 6, 1, 5, 2, 2, 1, 2, 4, 3],
           [3, 6, 4, 6, 2, 4, 2, 4, 3, 3, 2, 3, 3, 3, 2, 2, 1, 3, 3, 4],
           [2, 1, 4, 4, 3, 2, 1, 6, 1, 1, 1, 2, 3, 3, 1, 1, 3, 3, 2, 2])  # fmt: skip

# Who beat whom in the American League East, 1987: A. Agresti, "Categorical Data Analysis", 2002, table 10.10.
TEAMS = ["Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore"]
WON = ([0, 7, 9, 7, 7, 9, 11],
       [6, 0, 7, 5, 11, 9, 9],
       [4, 6, 0, 7, 7, 8, 12],
       [6, 8, 6, 0, 6, 7, 10],
       [6, 2, 6, 7, 0, 7, 12],
       [4, 4, 5, 6, 6, 0, 6],
       [2, 4, 1, 3, 1, 7, 0])  # fmt: skip
# Of the fit in the vignette of the R package BradleyTerry2, against Baltimore.
KNOWN = {"Boston": 1.1077, "Cleveland": 0.6839, "Detroit": 1.4364, "Milwaukee": 1.5814, "New York": 1.2476,
         "Toronto": 1.2945}  # fmt: skip


def random_rankings(seed: int, items: int = 5, people: int = 8) -> list[list[int]]:
    """Return strict rankings of some of the items each, in which every item wins and loses."""
    dice = random.Random(seed)
    some = [dice.sample(range(items), dice.randrange(2, items + 1)) for _ in range(people)]
    return [*some, list(range(items)), list(range(items))[::-1]]


class TestKendallsW:
    def test_the_example_of_irr(self) -> None:
        found = kendall_w([dict(enumerate(ratings)) for ratings in ANXIETY])
        assert found and (found.people, found.items) == (3, 20)
        assert found.w == pytest.approx(0.5396569, abs=5e-8)

    @pytest.mark.parametrize("seed", range(10))
    def test_it_is_friedmans_test(self, seed: int) -> None:
        """W = chi² / (people * (items - 1)), with the same correction for ties."""
        dice = random.Random(seed)
        people, items = dice.randrange(3, 8), dice.randrange(3, 9)
        table = [[dice.randrange(items) for _ in range(items)] for _ in range(people)]
        found = kendall_w([dict(enumerate(row)) for row in table])
        chi2 = stats.friedmanchisquare(*zip(*table, strict=True)).statistic
        assert found and found.w == pytest.approx(chi2 / (people * (items - 1)), abs=1e-9)

    @pytest.mark.parametrize("seed", range(5))
    def test_beyond_chance_it_is_the_mean_correlation(self, seed: int) -> None:
        dice = random.Random(seed)
        table = [dice.sample(range(6), 6) for _ in range(5)]
        found = kendall_w([dict(enumerate(row)) for row in table])
        mean = np.mean([stats.spearmanr(a, b).statistic for a, b in combinations(table, 2)])
        assert found and found.beyond_chance == pytest.approx(mean, abs=1e-9)

    def test_incomplete_rankings_count_where_they_overlap(self) -> None:
        assert kendall_w(["abcd", "bxcyd", "dcba", "a"]) == kendall_w(["bcd", "bcd", "dcb"])

    def test_where_there_is_nothing_to_compare(self) -> None:
        assert kendall_w([]) is None
        assert kendall_w(["abc"]) is None
        assert kendall_w(["ab", "cd"]) is None, "nobody ranked the same"
        assert kendall_w([{"a": 1, "b": 1}, {"a": 2, "b": 2}]) is None, "nobody has an order"


class TestPairwiseAgreement:
    @pytest.mark.parametrize("seed", range(10))
    def test_it_is_kendalls_tau_between_people(self, seed: int) -> None:
        dice = random.Random(seed)
        table = [dice.sample(range(6), 6) for _ in range(5)]
        found = pairwise_agreement([dict(enumerate(row)) for row in table])
        mean = np.mean([stats.kendalltau(a, b).statistic for a, b in combinations(table, 2)])
        assert found.beyond_chance == pytest.approx(mean, abs=1e-9)
        assert found.compared == comb(5, 2) * comb(6, 2)

    def test_by_hand(self) -> None:
        found = pairwise_agreement(["abc", "abc", "acb"])
        assert found == PairAgreement(agreed=7, compared=9)
        assert found.share == pytest.approx(7 / 9)

    def test_ties_are_no_order(self) -> None:
        assert pairwise_agreement([{"a": 1, "b": 2, "c": 2}, "abc"]) == (2, 2)
        assert pairwise_agreement(["ab", "cd"]).share is None
        assert pairwise_agreement([]).beyond_chance is None


class TestBradleyTerry:
    def test_the_baseball_example(self) -> None:
        wins = {(a, b): float(WON[i][j]) for i, a in enumerate(TEAMS) for j, b in enumerate(TEAMS) if i != j}
        scores = bradley_terry(wins, prior_sd=inf)
        assert (max(scores, key=scores.__getitem__), min(scores, key=scores.__getitem__)) == ("Milwaukee", "Baltimore")
        for team, known in KNOWN.items():
            assert scores[team].value - scores["Baltimore"].value == pytest.approx(known, abs=5e-5)

    @pytest.mark.parametrize("seed", range(5))
    def test_without_prior_it_is_the_maximum_likelihood_of_choix(self, seed: int) -> None:
        wins = pair_wins(random_rankings(seed))
        games = [pair for pair, number in wins.items() for _ in range(int(number))]
        theirs = choix.ilsr_pairwise(5, games, tol=1e-13, max_iter=10_000)
        scores = bradley_terry(wins, prior_sd=inf)
        assert [scores[item].value for item in range(5)] == pytest.approx(list(theirs), abs=1e-9)

    @pytest.mark.parametrize("seed", range(5))
    def test_with_a_prior_it_is_the_maximum_of_choix(self, seed: int) -> None:
        wins = pair_wins(random_rankings(seed))
        scores = bradley_terry(wins, prior_sd=2)
        games = [pair for pair, number in wins.items() for _ in range(int(number))]
        check_against(PairwiseFcts(games, penalty=1 / 8), [scores[item] for item in range(5)])

    def test_by_hand(self) -> None:
        scores = bradley_terry({("a", "b"): 3.0, ("b", "a"): 1.0}, prior_sd=inf)
        assert scores["a"].value - scores["b"].value == pytest.approx(log(3))
        # The curvature of the difference is 4 games * 3/4 * 1/4; each is half of it away from their mean.
        assert scores["a"].error == scores["b"].error == pytest.approx((4 / 3) ** 0.5 / 2)

    def test_a_tie_is_half_a_win_for_both(self) -> None:
        assert pair_wins([{"a": 1, "b": 1}, "ab"]) == {("a", "b"): 1.5, ("b", "a"): 0.5}

    def test_without_prior_some_scores_are_infinite(self) -> None:
        with pytest.raises(ValueError, match="do not determine"):
            bradley_terry({("a", "b"): 3.0}, prior_sd=inf)
        with pytest.raises(ValueError, match="do not determine"):
            bradley_terry({("a", "b"): 1.0, ("b", "a"): 1.0, ("c", "d"): 1.0, ("d", "c"): 1.0}, prior_sd=inf)
        assert bradley_terry({("a", "b"): 3.0})["a"].value < 3

    def test_nothing_at_all(self) -> None:
        assert bradley_terry({}) == plackett_luce([]) == {}


def check_against(library: PairwiseFcts | Top1Fcts, ours: list[tuple[float, float]]) -> None:
    """Compare with one more of Newton's steps of the library from there (its own search stops at some 1e-8), and the
    errors with its curvature.
    """
    values = np.array([value for value, _ in ours])
    curvature = library.hessian(values)
    theirs = values - np.linalg.solve(curvature, library.gradient(values))
    assert list(values) == pytest.approx(list(theirs), abs=1e-9)
    from_the_mean = np.identity(len(ours)) - 1 / len(ours)
    covariance = from_the_mean @ np.linalg.inv(curvature) @ from_the_mean
    assert [error for _, error in ours] == pytest.approx(list(np.sqrt(np.diag(covariance))), abs=1e-9)


class TestPlackettLuce:
    @pytest.mark.parametrize("seed", range(5))
    def test_without_prior_it_is_the_maximum_likelihood_of_choix(self, seed: int) -> None:
        rankings = random_rankings(seed)
        theirs = choix.ilsr_rankings(5, rankings, tol=1e-13, max_iter=10_000)
        scores = plackett_luce(rankings, prior_sd=inf)
        assert [scores[item].value for item in range(5)] == pytest.approx(list(theirs), abs=1e-9)

    @pytest.mark.parametrize("seed", range(5))
    def test_with_a_prior_it_is_the_maximum_of_choix(self, seed: int) -> None:
        rankings = random_rankings(seed)
        scores = plackett_luce(rankings, prior_sd=2)
        check_against(Top1Fcts.from_rankings(rankings, penalty=1 / 8), [scores[item] for item in range(5)])
        theirs = choix.opt_rankings(5, rankings, alpha=1 / 8, tol=1e-12)
        assert [scores[item].value for item in range(5)] == pytest.approx(list(theirs), abs=1e-6)

    def test_of_two_items_it_is_bradley_terry(self) -> None:
        rankings = ["ab", "ab", "ba"]
        scores, same = plackett_luce(rankings), bradley_terry(pair_wins(rankings))
        assert all(scores[item] == pytest.approx(same[item], abs=1e-9) for item in "ab")

    def test_ties(self) -> None:
        alike = plackett_luce([{"a": 1, "b": 1, "c": 2}])
        assert alike["a"] == pytest.approx(alike["b"], abs=1e-9)
        assert alike["a"].value > alike["c"].value
        # Efron: both are chosen from three, the second time with half of the two's strengths.
        a, c = exp(alike["a"].value), exp(alike["c"].value)
        slope = 1 - a / (2 * a + c) - a / 2 / (a + c) - alike["a"].value / 4
        assert slope == pytest.approx(0, abs=1e-9)
        assert {score.value for score in plackett_luce([dict.fromkeys("abc", 1)]).values()} == {0}

    def test_more_people_make_it_surer(self) -> None:
        one, many = plackett_luce(["abc"]), plackett_luce(["abc"] * 20)
        assert many["a"].value > one["a"].value > 0
        assert max(plackett_luce(["abc", "bca", "cab"] * 20).values()).error < 0.2 < one["a"].error

    def test_what_nobody_ranked_higher_or_lower_is_in_the_middle(self) -> None:
        assert plackett_luce(["a", "bc", "bc"])["a"].value == pytest.approx(0)

    def test_an_item_occurs_once(self) -> None:
        with pytest.raises(ValueError, match="twice"):
            plackett_luce(["aa"])

    def test_it_finds_the_strengths_that_rankings_were_drawn_from(self) -> None:
        dice = random.Random(2)
        true = {"a": 1.0, "b": 0.3, "c": -0.3, "d": -1.0}
        rankings = [
            sorted(true, key=lambda item: dice.expovariate(1) / exp(true[item]))
            for _ in range(2000)
        ]  # fmt: skip
        scores = plackett_luce(rankings)
        for item, score in true.items():
            assert abs(scores[item].value - score) < 4 * scores[item].error < 0.2


ORDERS = st.sampled_from(list(permutations("abcd")))
RANKINGS = st.lists(st.one_of(ORDERS, ORDERS.map(lambda o: o[:3]), st.dictionaries(st.sampled_from("abcd"),
                    st.integers(1, 3)).map(lambda positions: dict(positions))), max_size=6)  # fmt: skip


class TestLaws:
    @given(ORDERS, st.integers(2, 5))
    def test_full_agreement_is_1(self, order: tuple[str, ...], people: int) -> None:
        assert kendall_w([order] * people) == Concordance(1, people, 4)
        assert pairwise_agreement([order] * people).share == 1

    @given(RANKINGS, st.randoms())
    def test_the_order_of_people_does_not_matter(self, rankings: list[object], dice: random.Random) -> None:
        shuffled = dice.sample(rankings, len(rankings))
        for statistic in (kendall_w, pairwise_agreement, plackett_luce, pair_wins):
            assert statistic(rankings) == statistic(shuffled)  # type: ignore[operator]

    @given(RANKINGS)
    def test_scores_sum_to_0_and_are_sure_to_a_degree(self, rankings: list[object]) -> None:
        for scores in (plackett_luce(rankings), bradley_terry(pair_wins(rankings))):  # type: ignore[arg-type]
            assert sum(score.value for score in scores.values()) == pytest.approx(0, abs=1e-9)
            assert all(0 <= score.error <= 2 for score in scores.values())
            assert list(scores.values()) == sorted(scores.values(), key=lambda score: -score.value), "best first"

    @given(RANKINGS)
    def test_agreement_is_between_its_bounds(self, rankings: list[object]) -> None:
        found = kendall_w(rankings)  # type: ignore[arg-type]
        assert found is None or -1e-9 <= found.w <= 1 + 1e-9
        agreed, compared = pairwise_agreement(rankings)  # type: ignore[arg-type]
        assert 0 <= agreed <= compared
