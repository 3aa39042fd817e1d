"""How few reviews any rule could need: a bound by dynamic programming, for reviewers whose skills are known exactly.

The rule may stop after each review. Its errors may be those of three reviews. The best such rule minimizes the reviews
plus a price for each kind of error (A. Wald and J. Wolfowitz, "Optimum Character of the Sequential Probability Ratio
Test", 1948); for any two prices that minimum, less what the allowed errors cost, is below the reviews of every rule
(Lagrangian duality). The prices that make it largest are searched.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from math import exp, log

from oasst.simulation.reviewing.crowds import GOOD, Mix
from trees.lifecycle.consensus import Skill

MOST = 8  # reviews of one text; more change the bound by less than 0.01
_PRICES = (1.0, 8.0)  # logarithms of the lowest and the highest price of an error, in reviews
_STEPS = 16
_GOLDEN = (5**0.5 - 1) / 2

Kinds = list[tuple[float, Skill]]
"""Kinds of reviewers: share and skill."""


def least_reviews(mix: Mix) -> float:
    """Return a number of reviews a text that no rule can go below with both errors as with three reviews.

    It is assumed to know even which texts are hard.
    """
    texts = [(1 - mix.hard, list(mix.kinds))]
    if mix.hard:
        texts.append((mix.hard, [(share, _on_hard(skill, mix.hard_skill)) for share, skill in mix.kinds]))
    accepted = sum(share * _two_of_three([(part, skill.finds) for part, skill in kinds]) for share, kinds in texts)
    rejected = sum(share * _two_of_three([(part, skill.spares) for part, skill in kinds]) for share, kinds in texts)
    votes = [(share, list(_votes(kinds))) for share, kinds in texts]

    def bound(accept_price: float, reject_price: float) -> float:
        cost = sum(share * _least_cost(of_texts, accept_price, reject_price) for share, of_texts in votes)
        return cost - accept_price * (1 - GOOD) * accepted - reject_price * GOOD * rejected

    return _largest(lambda accept: _largest(lambda reject: bound(exp(accept), exp(reject))))


def _on_hard(skill: Skill, most: float) -> Skill:
    return Skill(min(skill.finds, most), min(skill.spares, most))


def _two_of_three(right: list[tuple[float, float]]) -> float:
    """Return how often at least two of three reviewers are wrong, given (share, how often right)."""
    wrong = 1 - sum(share * chance for share, chance in right)
    return wrong**2 * (3 - 2 * wrong)


def _votes(kinds: Kinds) -> Iterator[tuple[float, float]]:
    """Yield for each vote of each kind: its chance about a good text, and the logarithm of how much likelier it is
    about a bad one.
    """
    for share, skill in kinds:
        for rejects in (False, True):
            good = skill.chance(rejects, bad=False)
            yield share * good, log(skill.chance(rejects, bad=True) / good)


def _least_cost(votes: list[tuple[float, float]], accept_price: float, reject_price: float) -> float:
    """Return the least expected reviews and prices of one text, which gets one review at least.

    A state is the logarithm of how much likelier the votes so far are about a bad text. Costs are expressed per chance
    of the votes about a good one.
    """
    reached: list[set[float]] = [{0.0}]
    for _ in range(MOST):
        reached.append({round(state + shift, 9) for state in reached[-1] for _, shift in votes})
    after: dict[float, float] = {}
    for number in range(MOST, -1, -1):
        costs = defaultdict[float, float](float)
        for state in reached[number]:
            bad = (1 - GOOD) * exp(state)
            stop = min(accept_price * bad, reject_price * GOOD)
            if number == MOST:
                costs[state] = stop
                continue
            more = bad + GOOD + sum(chance * after[round(state + shift, 9)] for chance, shift in votes)
            costs[state] = min(stop, more) if number else more
        after = costs
    return after[0.0]


def _largest(function: Callable[[float], float]) -> float:
    """Return the largest value between the ends of `_PRICES` of a function with one peak, by golden-section search."""
    low, high = _PRICES
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(_STEPS):
        if at_left < at_right:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = function(right)
        else:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = function(left)
    return max(at_left, at_right)
