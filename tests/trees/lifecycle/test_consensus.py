"""Group decisions, compared with slow and simple computations of the same."""

from fractions import Fraction
from itertools import combinations, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trees.lifecycle.consensus import MajorityRule, Vote, is_accepted, ranked_pairs

REPLIES = "abcde"
incomplete_order = st.permutations(REPLIES).flatmap(
    lambda order: st.integers(0, len(order)).map(lambda length: "".join(order[:length]))
)
profiles = st.lists(incomplete_order, max_size=8)
thresholds = st.integers(0, 99).map(lambda percent: percent / 100)


def by_every_order(votes: list[str], candidates: str) -> list[str]:
    """Ranked pairs by definition: lock the strongest pairs, then search the order that satisfies them."""
    margin = dict.fromkeys(permutations(sorted(candidates), 2), 0)
    compared = set()
    for vote in votes:
        for better, worse in combinations([one for one in vote if one in candidates], 2):
            margin[better, worse] += 1
            margin[worse, better] -= 1
            compared |= {better, worse}
    pairs = [pair for pair in margin if margin[pair] >= 0 and compared >= {*pair}]
    locked: set[tuple[str, str]] = set()
    for winner, loser in sorted(pairs, key=lambda pair: (-margin[pair], pair)):
        if not is_path(locked, loser, winner):
            locked.add((winner, loser))
    orders = permutations(sorted(compared))
    (order,) = [one for one in orders if all(one.index(a) < one.index(b) for a, b in locked)]
    return list(order)


def is_path(edges: set[tuple[str, str]], start: str, end: str) -> bool:
    reached, before = {start}, 0
    while len(reached) > before:
        before = len(reached)
        reached |= {b for a, b in edges if a in reached}
    return end in reached


class TestRankedPairs:
    @given(profiles)
    @settings(max_examples=300, deadline=None)
    def test_it_works(self, votes: list[str]) -> None:
        assert ranked_pairs(votes, REPLIES) == by_every_order(votes, REPLIES)

    @given(profiles, st.sets(st.sampled_from(REPLIES)))
    @settings(max_examples=200, deadline=None)
    def test_a_reply_that_was_deleted_since_has_no_say(self, votes: list[str], left: set[str]) -> None:
        reduced = ["".join(one for one in vote if one in left) for vote in votes]
        assert ranked_pairs(votes, left) == ranked_pairs(reduced, left) == by_every_order(votes, "".join(left))

    @given(profiles, st.permutations(REPLIES), st.randoms(use_true_random=False))
    def test_who_votes_first_does_not_matter(self, votes: list[str], candidates: list[str], chance: object) -> None:
        shuffled = list(votes)
        chance.shuffle(shuffled)  # type: ignore[attr-defined]
        assert ranked_pairs(shuffled, candidates) == ranked_pairs(votes, REPLIES)

    @given(st.permutations(REPLIES), st.integers(1, 5))
    def test_who_agree_get_what_they_say(self, order: list[str], voters: int) -> None:
        assert ranked_pairs([order] * voters, REPLIES) == order

    @pytest.mark.parametrize(
        ("votes", "order"),
        [
            ([], ""),
            (["a"], ""),
            (["ab", "ba"], "ab"),
            (["abc", "bca", "cab"], "abc"),
            (["ab", "cd"], "abcd"),
            (["ba", "dc"], "badc"),
            ([*["wxzy"] * 3, *["wyxz"] * 2, *["xyzw"] * 4, *["xzwy"] * 5, "ywxz"], "xzwy"),
        ],
    )
    def test_known_cases(self, votes: list[str], order: str) -> None:
        assert ranked_pairs(votes, "abcdwxyz") == list(order)


class TestVerdict:
    @pytest.mark.parametrize("wanted", range(1, 6))
    def test_stopping_early_never_changes_the_outcome(self, wanted: int) -> None:
        """Every order of votes, at every threshold of whole percents."""
        for votes, percent in product(product([False, True], repeat=wanted), range(100)):
            threshold = percent / 100
            outcome = is_accepted(sum(votes), wanted, threshold)
            rule = MajorityRule(wanted, threshold)
            early = [rule.verdict([Vote(rejects) for rejects in votes[:given]]) for given in range(wanted + 1)]
            assert early[-1] is outcome
            assert set(early) <= {None, outcome}

    @given(st.lists(st.booleans(), max_size=6), st.integers(1, 6), thresholds)
    def test_undecided_means_that_somebody_is_asked(self, votes: list[bool], wanted: int, threshold: float) -> None:
        rule, given = MajorityRule(wanted, threshold), [Vote(rejects) for rejects in votes]
        more = rule.votes_needed(given)
        assert (more == 0) == (rule.verdict(given) is not None)
        assert more <= wanted

    @given(st.integers(1, 20), st.data(), thresholds)
    def test_a_share_equal_to_the_threshold_is_not_enough(
        self, reviews: int, data: st.DataObject, limit: float
    ) -> None:
        rejecting = data.draw(st.integers(0, reviews))
        exact = Fraction(reviews - rejecting, reviews) > Fraction(str(limit))
        assert is_accepted(rejecting, reviews, limit) == exact

    def test_seven_of_ten_against_leave_no_more_than_three_tenths(self) -> None:
        assert not is_accepted(7, 10, 0.3)
