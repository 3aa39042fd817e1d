"""Strengths of models from comparisons of two answers (Bradley and Terry, 1952), by Newton's method.

Ties count half for each. What people like about the form of an answer, such as its length, can be estimated with the
strengths and so taken out of them (style control; Li, Angelopoulos and Chiang, 2024).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ELO = 400 / np.log(10)
"""Points of Elo for a difference of 1 in strength."""
_STEPS = 100
_CLOSE = 1e-10


@dataclass(frozen=True)
class Comparisons:
    """One row for each comparison; `left` and `right` are numbers of models."""

    models: Sequence[str]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    won: Array
    """1 if the left one was better, 0 if the right one, 0.5 for a tie."""
    styles: Array | None = None
    """Of shape (comparisons, features): by how much the left answer has more of each than the right one."""
    people: NDArray[np.int64] | None = None
    """Who judged; people are drawn with all they said when intervals are estimated."""
    counts: Array | None = None
    """How much each comparison counts; 1 if None."""


@dataclass(frozen=True)
class Strengths:
    models: Sequence[str]
    values: Array
    """In natural logarithms of odds, around a mean of 0."""
    styles: Array
    """What one unit of each feature is worth, in the same unit."""

    def chance(self, one: int, other: int) -> float:
        """Return how likely the first model is preferred to the second one, everything else equal."""
        return float(1 / (1 + np.exp(self.values[other] - self.values[one])))


def fit(found: Comparisons, *, prior: float = 1.0, weights: Array | None = None) -> Strengths:
    """Return the likeliest strengths.

    `prior` is the number of ties that each model is taken to have had against an average one, so that a model that won
    all is not infinitely strong, and each feature of style too, so that few comparisons do not explain all by style.
    With 0 it is the maximum of the likelihood, which then must exist. `weights` multiply
    the counts.
    """
    number = len(found.models)
    rows = np.zeros((len(found.won), number))
    rows[np.arange(len(rows)), found.left] += 1
    rows[np.arange(len(rows)), found.right] -= 1
    if found.styles is not None:
        rows = np.hstack([rows, found.styles])
    counts = np.ones(len(rows)) if found.counts is None else found.counts
    counts = counts if weights is None else counts * weights
    columns = rows.shape[1]
    rows, won = np.vstack([rows, np.eye(columns)]), np.append(found.won, np.full(columns, 0.5))
    values = _newton(rows, won, np.append(counts, np.full(columns, prior)))
    strengths = values[:number]
    return Strengths(found.models, strengths - strengths.mean(), values[number:])


def _newton(rows: Array, won: Array, counts: Array) -> Array:
    """Return the maximum of the likelihood of a logistic regression; of several the shortest one."""
    values = np.zeros(rows.shape[1])
    for _ in range(_STEPS):
        chances = 1 / (1 + np.exp(-np.clip(rows @ values, -500, 500)))
        slope = rows.T @ (counts * (won - chances))
        bend = (rows * (counts * chances * (1 - chances))[:, None]).T @ rows
        step = np.linalg.lstsq(bend, slope, rcond=None)[0]  # strengths may all be moved by the same amount
        values = values + step
        if np.abs(step).max(initial=0) < _CLOSE:
            break
    return values


@dataclass(frozen=True)
class Interval:
    low: float
    middle: float
    high: float


def intervals(
    found: Comparisons, *, rounds: int = 200, share: float = 0.95, seed: int = 20240107, prior: float = 1.0
) -> list[Interval]:
    """Return for each model the interval in which its strength lies in `share` of all resamples (Efron, 1979).

    Whole people are drawn, since what one person says hangs together.
    """
    chance = np.random.default_rng(seed)
    people = np.arange(len(found.won)) if found.people is None else found.people
    names, who = np.unique(people, return_inverse=True)
    drawn = np.empty((rounds, len(found.models)))
    for number in range(rounds):
        times = np.bincount(chance.integers(0, len(names), len(names)), minlength=len(names)) if len(names) else names
        drawn[number] = fit(found, prior=prior, weights=times[who].astype(float)).values
    low, middle, high = np.quantile(drawn, [(1 - share) / 2, 0.5, (1 + share) / 2], axis=0)
    return [Interval(*map(float, one)) for one in zip(low, middle, high, strict=True)]
