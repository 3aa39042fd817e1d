"""Strengths of items from choices among them: the computation that Bradley–Terry and Plackett–Luce scores share.

The probability that an item is chosen from several is its strength divided by the sum of their strengths (Luce's choice
axiom). A score is the logarithm of a strength.

Source: R. D. Luce, "Individual Choice Behavior", 1959. Maximum a posteriori with a normal prior by Newton's method,
and errors from the curvature there (Laplace's approximation), as in A. Gelman et al., "Bayesian Data Analysis", 3rd
edition, 2013, section 4.1.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

STEPS = 100
SETTLED = 1e-12  # change of a score
FLAT = 1e-12  # curvature


class Score(NamedTuple):
    value: float
    error: float


class Choices(NamedTuple):
    """`times` one item was chosen from `offered`: pairs of an item's number and the weight of its strength."""

    offered: tuple[tuple[int, float], ...]
    times: float


Matrix = list[list[float]]


def fit(chosen: Sequence[float], choices: Sequence[Choices], prior_sd: float) -> list[Score]:
    """Return the scores of the items 0, 1, …; they sum to 0.

    `chosen` says how often each item was chosen, in all choices together. `prior_sd` is the standard deviation of each
    score before anything is known. `error` is the standard error of an item's distance from the mean of all. Raise
    ValueError if it is infinite and the choices do not determine all scores.
    """
    precision = 1 / prior_sd**2
    scores = [0.0] * len(chosen)
    reached = _log_posterior(scores, chosen, choices, precision)
    for _ in range(STEPS):
        gradient, curvature = _derivatives(scores, chosen, choices, precision)
        covariance = _inverse(curvature)
        step = [_dot(row, gradient) for row in covariance]
        if max(map(abs, step), default=0) < SETTLED:
            return _with_errors(scores, covariance, precision)
        share = 1.0
        while True:
            tried = [score + share * change for score, change in zip(scores, step, strict=True)]
            result = _log_posterior(tried, chosen, choices, precision)
            if result >= reached or share < 1e-3:  # the last steps change it by less than its rounding
                break
            share /= 2
        scores, reached = tried, result
    raise ValueError(_UNDETERMINED)


_UNDETERMINED = "Without a prior, these judgments do not determine all scores."


def _with_errors(scores: Sequence[float], covariance: Matrix, precision: float) -> list[Score]:
    # The uncertainty of the common mean, which _derivatives made finite, means nothing.
    common = 1 / (len(scores) * (precision + len(scores))) if scores else 0
    variances = [max(0.0, covariance[item][item] - common) for item in range(len(scores))]
    return [Score(score, math.sqrt(variance)) for score, variance in zip(scores, variances, strict=True)]


def _log_posterior(
    scores: Sequence[float], chosen: Sequence[float], choices: Sequence[Choices], precision: float
) -> float:
    likelihood = _dot(chosen, scores) - sum(
        times * math.log(sum(weight * math.exp(scores[item]) for item, weight in offered)) for offered, times in choices
    )
    return likelihood - precision * _dot(scores, scores) / 2


def _derivatives(
    scores: Sequence[float], chosen: Sequence[float], choices: Sequence[Choices], precision: float
) -> tuple[list[float], Matrix]:
    """Return the gradient, and the negative second derivatives plus 1 everywhere.

    That 1 keeps the sum of the scores at 0, which choices do not determine, since only differences matter.
    """
    gradient = [number - precision * score for number, score in zip(chosen, scores, strict=True)]
    curvature = [[1.0] * len(scores) for _ in scores]
    for item in range(len(scores)):
        curvature[item][item] += precision
    for offered, times in choices:
        strengths = [(item, weight * math.exp(scores[item])) for item, weight in offered]
        total = sum(strength for _, strength in strengths)
        for item, strength in strengths:
            gradient[item] -= times * strength / total
            curvature[item][item] += times * strength / total
            for other, other_strength in strengths:
                curvature[item][other] -= times * strength * other_strength / total**2
    return gradient, curvature


def _inverse(matrix: Matrix) -> Matrix:
    """Return the inverse of a symmetric positive definite matrix, by elimination. Raise ValueError if it has none."""
    size = len(matrix)
    rows = [[*row, *(float(column == number) for column in range(size))] for number, row in enumerate(matrix)]
    for number in range(size):
        pivot = rows[number][number]
        if pivot < FLAT:
            raise ValueError(_UNDETERMINED)
        rows[number] = [value / pivot for value in rows[number]]
        for other in range(size):
            if other != number and (factor := rows[other][number]):
                rows[other] = [a - factor * b for a, b in zip(rows[other], rows[number], strict=True)]
    return [row[size:] for row in rows]


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))
