"""How well the scores of a reward model agree with the rankings of people.

Each ranking weighs the same, with few answers or many. Answers that people tied say nothing about each other.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np


@dataclass(frozen=True)
class Ranking:
    """Answers to one conversation: three sequences of the same order."""

    scores: Sequence[float]
    """Of the model; the higher, the better."""
    ranks: Sequence[int]
    """Of the people: 0 for the best; equal ones are tied."""
    lengths: Sequence[int] = ()
    """In tokens; none if unknown."""

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield the places of two answers of which people prefer the first."""
        for one, other in combinations(range(len(self.ranks)), 2):
            if self.ranks[one] != self.ranks[other]:
                yield (one, other) if self.ranks[one] < self.ranks[other] else (other, one)


def figures(rankings: Sequence[Ranking]) -> dict[str, float]:
    """Return all that can be said, by name; nothing of what needs answers that there are not."""
    found = {
        "accuracy": accuracy(rankings),
        "best_beats_worst": best_beats_worst(rankings),
        "kendall_tau": _mean([kendall_tau(one) for one in rankings]),
        "spearman": _mean([spearman(one) for one in rankings]),
        "calibration_error": calibration_error(rankings),
        "length_correlation": length_correlation(rankings),
    }
    return {name: value for name, value in found.items() if value is not None}


def accuracy(rankings: Sequence[Ranking]) -> float | None:
    """Return the part of all pairs that the scores put in order; equal scores are half right. None without pairs."""
    each = []
    for one in rankings:
        right = [_is_right(one.scores[better], one.scores[worse]) for better, worse in one.pairs()]
        each += [sum(right) / len(right)] if right else []
    return _mean(each)


def best_beats_worst(rankings: Sequence[Ranking]) -> float | None:
    """Return the part of the rankings whose best answer scores higher than the worst. It rises with their length."""
    each = []
    for one in rankings:
        best, worst = min(one.ranks, default=0), max(one.ranks, default=0)
        if best != worst:
            each.append(_is_right(one.scores[list(one.ranks).index(best)], one.scores[_last(one.ranks, worst)]))
    return _mean(each)


def _last(ranks: Sequence[int], rank: int) -> int:
    return max(place for place, one in enumerate(ranks) if one == rank)


def _is_right(better: float, worse: float) -> float:
    return 0.5 if better == worse else float(better > worse)


def kendall_tau(ranking: Ranking) -> float | None:
    """Return τ_b (Kendall, 1945) of scores and ranks, 1 for the same order; None if either ties all answers."""
    agree, by_people, by_scores = 0.0, 0, 0
    for one, other in combinations(range(len(ranking.ranks)), 2):
        people = np.sign(ranking.ranks[other] - ranking.ranks[one])
        scores = np.sign(ranking.scores[one] - ranking.scores[other])
        agree += people * scores
        by_people += people != 0
        by_scores += scores != 0
    return float(agree / math.sqrt(by_people * by_scores)) if by_people and by_scores else None


def spearman(ranking: Ranking) -> float | None:
    """Return ρ (Spearman, 1904) of scores and ranks, 1 for the same order; None if either ties all answers."""
    return _correlation(_places(ranking.scores), _places([-rank for rank in ranking.ranks]))


def _places(values: Sequence[float]) -> list[float]:
    """Return the place of each value in the order, the mean of their places for equal ones."""
    return [sum(other < one for other in values) + (sum(other == one for other in values) - 1) / 2 for one in values]


def calibration_error(rankings: Sequence[Ranking], *, bins: int = 10) -> float | None:
    """Return by how much the model is surer of a pair, or less sure, than it is right (Naeini et al., 2015).

    The chance that one answer is preferred is σ of the difference of scores. None without pairs.
    """
    sure, right, weights = [], [], []
    for one in rankings:
        pairs = list(one.pairs())
        for better, worse in pairs:
            difference = one.scores[better] - one.scores[worse]
            sure.append(1 / (1 + math.exp(-min(abs(difference), 500))))
            right.append(_is_right(one.scores[better], one.scores[worse]))
            weights.append(1 / len(pairs))
    if not sure:
        return None
    places = np.minimum(((np.array(sure) - 0.5) * 2 * bins).astype(int), bins - 1)
    gaps = np.bincount(places, np.array(weights) * (np.array(sure) - np.array(right)), minlength=bins)
    return float(np.abs(gaps).sum() / sum(weights))


def length_correlation(rankings: Sequence[Ranking]) -> float | None:
    """Return Pearson's correlation of score and length among answers to the same conversation; None if unknown.

    Far from 0, the model likes long answers, or short ones. Compare it with that of the ranks: people may too.
    """
    scores: list[float] = []
    lengths: list[float] = []
    for one in rankings:
        if len(one.lengths) > 1:
            scores += list(np.array(one.scores) - np.mean(one.scores))
            lengths += list(np.array(one.lengths) - np.mean(one.lengths))
    return _correlation(scores, lengths)


def _correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    if len(one) < 2:
        return None
    left, right = np.array(one) - np.mean(one), np.array(other) - np.mean(other)
    size = math.sqrt(float(left @ left) * float(right @ right))
    return float(left @ right) / size if size else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return sum(known) / len(known) if known else None
