"""Rankings of the same few items by several people: how far people agree, and a score for each item.

A ranking is either a strict order, best first, or a mapping from item to position, where equal positions are a tie.
People may rank different items; whatever cannot be compared is left out.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple, Protocol, TypeVar

from trees.statistics.strengths import Choices, Score, fit


class Sortable(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...

    def __hash__(self) -> int: ...


Item = TypeVar("Item", bound=Sortable)
Ranking = Sequence[Item] | Mapping[Item, float]


class Concordance(NamedTuple):
    """Kendall's coefficient of concordance: 1 if all orders are equal, 0 if all items have the same mean rank."""

    w: float
    people: int
    items: int

    @property
    def beyond_chance(self) -> float:
        """The mean of Spearman's rank correlation over all pairs of people (if nobody tied): 1 is full agreement, 0 is
        chance. W itself is 1 / people by chance.
        """
        return (self.people * self.w - 1) / (self.people - 1)


class PairAgreement(NamedTuple):
    """Over all pairs of people, the pairs of items that both ordered: how many, and how many in the same order.

    For many sets of items, add up both numbers.
    """

    agreed: int
    compared: int

    @property
    def share(self) -> float | None:
        return self.agreed / self.compared if self.compared else None

    @property
    def beyond_chance(self) -> float | None:
        """Kendall's coefficient of agreement u: 1 is full agreement, 0 is chance, which agrees on half of the pairs."""
        return 2 * self.agreed / self.compared - 1 if self.compared else None


def kendall_w(rankings: Iterable[Ranking[Item]]) -> Concordance | None:
    """Return Kendall's W, corrected for ties.

    W is not defined for incomplete rankings, so it is computed over the items that everybody ranked who ranked at least
    two. None for fewer than two such people or items, or if everybody tied all items.

    Source: S. Siegel and N. J. Castellan, "Nonparametric Statistics for the Behavioral Sciences", 2nd edition, 1988,
    section 9.6.
    """
    rows = [positions for positions in map(_positions, rankings) if len(positions) > 1]
    shared = sorted(set.intersection(*map(set, rows))) if rows else []
    people, items = len(rows), len(shared)
    if people < 2 or items < 2:
        return None
    ranks = [_midranks([positions[item] for item in shared]) for positions in rows]
    sums = [sum(column) for column in zip(*ranks, strict=True)]
    mean = people * (items + 1) / 2
    ties = sum(number**3 - number for row in ranks for number in Counter(row).values())
    most = people**2 * (items**3 - items) - people * ties
    return Concordance(12 * sum((total - mean) ** 2 for total in sums) / most, people, items) if most else None


def pairwise_agreement(rankings: Iterable[Ranking[Item]]) -> PairAgreement:
    """Return how often two people put two items in the same order. Ties are no order and do not count.

    Source: M. G. Kendall and B. Babington Smith, "On the Method of Paired Comparisons", Biometrika 31, 1940.
    """
    orders: dict[tuple[Item, Item], list[int]] = defaultdict(lambda: [0, 0])
    for ranking in rankings:
        for a, b in combinations(_tiers(ranking), 2):
            for better in a:
                for worse in b:
                    if better < worse:
                        orders[better, worse][0] += 1
                    else:
                        orders[worse, better][1] += 1
    return PairAgreement(
        sum(math.comb(number, 2) for both in orders.values() for number in both),
        sum(math.comb(sum(both), 2) for both in orders.values()),
    )


def pair_wins(rankings: Iterable[Ranking[Item]]) -> dict[tuple[Item, Item], float]:
    """Return (better, worse) → how many people put them in this order. A tie counts by half in both ways."""
    wins: dict[tuple[Item, Item], float] = defaultdict(float)
    for ranking in rankings:
        tiers = _tiers(ranking)
        for a, b in combinations(tiers, 2):
            for better in a:
                for worse in b:
                    wins[better, worse] += 1
        for tier in tiers:
            for one, other in combinations(tier, 2):
                wins[one, other] += 0.5
                wins[other, one] += 0.5
    return dict(sorted(wins.items()))


PRIOR_SD = 2.0
"""Of a score before anybody judged. Weak, but after three equal rankings no item is infinitely better than another."""


def bradley_terry(wins: Mapping[tuple[Item, Item], float], *, prior_sd: float = PRIOR_SD) -> dict[Item, Score]:
    """Return a score for each item, best first, from (better, worse) → how often; a tie is half a win for both.

    Scores sum to 0. Item a beats b with the probability 1 / (1 + exp(score of b - score of a)). `error` is the standard
    error of the distance from the mean of all. For rankings the errors are too small, since the pairs of one person are
    not independent: there, take plackett_luce. `prior_sd` may be infinite; ValueError if the wins do not determine all
    scores then.

    Source: R. A. Bradley and M. E. Terry, "Rank Analysis of Incomplete Block Designs: I", Biometrika 39, 1952.
    """
    chosen: dict[Item, float] = defaultdict(float)
    times: dict[tuple[Item, Item], float] = defaultdict(float)
    for (better, worse), number in sorted(wins.items()):
        chosen[better] += number
        chosen[worse] += 0
        times[(better, worse) if better < worse else (worse, better)] += number
    return _scores(chosen, {((a, 1.0), (b, 1.0)): number for (a, b), number in times.items()}, prior_sd)


def plackett_luce(rankings: Iterable[Ranking[Item]], *, prior_sd: float = PRIOR_SD) -> dict[Item, Score]:
    """Return a score for each ranked item, best first: a ranking chooses the best of all, then the best of the rest, …

    Scores, errors and `prior_sd` are those of bradley_terry, which is the same model for two items. Ties are spread
    over their possible orders by Efron's approximation.

    Source: R. L. Plackett, "The Analysis of Permutations", Applied Statistics 24, 1975; for ties B. Efron, "The
    Efficiency of Cox's Likelihood Function for Censored Data", J. of the American Statistical Association 72, 1977.
    """
    chosen: dict[Item, float] = defaultdict(float)
    times: dict[tuple[tuple[Item, float], ...], float] = defaultdict(float)
    for ranking in rankings:
        rest: dict[Item, float] = {}
        for tier in reversed(_tiers(ranking)):
            for taken, item in enumerate(tier):
                chosen[item] += 1
                offered = rest | dict.fromkeys(tier, 1 - taken / len(tier))
                times[tuple(sorted(offered.items()))] += 1
            rest |= dict.fromkeys(tier, 1.0)
    return _scores(chosen, times, prior_sd)


def _scores(
    chosen: Mapping[Item, float], times: Mapping[tuple[tuple[Item, float], ...], float], prior_sd: float
) -> dict[Item, Score]:
    items = sorted(chosen)
    index = {item: number for number, item in enumerate(items)}
    choices = [
        Choices(tuple((index[item], weight) for item, weight in offered), number)
        for offered, number in sorted(times.items())
    ]
    scores = zip(items, fit([chosen[item] for item in items], choices, prior_sd), strict=True)
    return dict(sorted(scores, key=lambda scored: -scored[1].value))


def _positions(ranking: Ranking[Item]) -> Mapping[Item, float]:
    """Return the position of each item. Raise ValueError if an item occurs twice."""
    if isinstance(ranking, Mapping):
        return ranking
    positions = {item: float(number) for number, item in enumerate(ranking)}
    if len(positions) < len(ranking):
        raise ValueError("An item occurs twice in a ranking.")
    return positions


def _tiers(ranking: Ranking[Item]) -> list[list[Item]]:
    """Return the items of each position, best first, sorted within it."""
    tiers: dict[float, list[Item]] = defaultdict(list)
    for item, position in _positions(ranking).items():
        tiers[position].append(item)
    return [sorted(tiers[position]) for position in sorted(tiers)]


def _midranks(values: Sequence[float]) -> list[float]:
    """Return ranks from 1 in ascending order; equal values share the mean of their ranks."""
    counts, ranks, below = Counter(values), {}, 0
    for value in sorted(counts):
        ranks[value] = below + (counts[value] + 1) / 2
        below += counts[value]
    return [ranks[value] for value in values]
