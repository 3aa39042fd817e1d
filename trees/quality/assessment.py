"""How good predictions are that were made without knowing the answer. No database.

The texts of one conversation are alike, so intervals come from drawing conversations, not texts: by the Bayesian
bootstrap (Rubin, 1981), as for agreement (`trees.statistics`).
"""

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

ROUNDS = 400
BINS = 10
LOWEST = 0.05
"""The share of texts of which `lowest_*` speaks."""
Z = 1.959964


@dataclass(frozen=True)
class Bin:
    """Texts with like predictions: how many, their mean prediction, their mean answer with its 95 % interval."""

    texts: int
    predicted: float
    actual: float
    low: float
    high: float


@dataclass(frozen=True)
class Assessment:
    """How predictions compare with answers from 0 to 1. `brier` is the mean squared error: the Brier score where
    answers are 0 or 1.

    `skill` is the share of the base rate's squared error that the predictions save; 0 is no better, 1 is perfect.
    """

    texts: int
    mean: float
    brier: float
    base_brier: float
    skill: float
    skill_low: float
    skill_high: float
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    lowest_texts: int
    lowest_mean: float
    bins: tuple[Bin, ...]

    @property
    def is_useful(self) -> bool:
        """Return True if the predictions are surely better than the base rate."""
        return self.skill_low > 0

    def as_data(self) -> dict[str, Any]:
        names = [name for name in self.__dataclass_fields__ if name != "bins"]
        data: dict[str, Any] = {name: getattr(self, name) for name in names}
        return {**data, "bins": [[b.texts, b.predicted, b.actual, b.low, b.high] for b in self.bins]}


def assess(predicted: "Floats", base: "Floats", actual: "Floats", groups: "Numbers", *, binary: bool) -> Assessment:
    """Return the figures. `base` is what would be predicted without the texts, `groups` numbers conversations from 0.

    Deterministic: the same arrays give the same figures.
    """
    import numpy as np

    lost, base_lost = (predicted - actual) ** 2, (base - actual) ** 2
    order = np.argsort(predicted, kind="stable")
    ranks = _ranks(predicted)
    skills, aucs = [], []
    rng = np.random.default_rng(0)
    number = int(groups.max()) + 1
    for _ in range(ROUNDS):
        weights = rng.exponential(size=number)[groups]
        skills.append(_skill(float(weights @ lost), float(weights @ base_lost)))
        if binary:
            aucs.append(_auc(ranks, actual, weights))
    lowest = order[: max(1, round(LOWEST * len(order)))]
    return Assessment(
        texts=len(actual),
        mean=float(actual.mean()),
        brier=float(lost.mean()),
        base_brier=float(base_lost.mean()),
        skill=_skill(float(lost.sum()), float(base_lost.sum())),
        skill_low=_quantile(skills, 0.025),
        skill_high=_quantile(skills, 0.975),
        auc=auc(predicted, actual) if binary else None,
        auc_low=_quantile(aucs, 0.025) if binary else None,
        auc_high=_quantile(aucs, 0.975) if binary else None,
        lowest_texts=len(lowest),
        lowest_mean=float(actual[lowest].mean()),
        bins=tuple(_bin(predicted[part], actual[part], binary) for part in np.array_split(order, BINS) if len(part)),
    )


def auc(predicted: "Floats", actual: "Floats", weights: "Floats | None" = None) -> float:
    """Return the chance that of two texts, one with answer 1 and one with 0, the former has the higher prediction; a
    tie counts half.

    Without texts of both kinds it is 0.5. Source: Hanley and McNeil, "The Meaning and Use of the Area under a ROC
    Curve", 1982.
    """
    import numpy as np

    return _auc(_ranks(predicted), actual, np.ones(len(actual)) if weights is None else weights)


def _ranks(predicted: "Floats") -> "Numbers":
    """Number the predictions from 0, equal ones alike."""
    import numpy as np

    return np.unique(predicted, return_inverse=True)[1]


def _auc(ranks: "Numbers", actual: "Floats", weights: "Floats") -> float:
    import numpy as np

    good = np.bincount(ranks, weights=weights * actual)
    bad = np.bincount(ranks, weights=weights * (1 - actual))
    pairs = float(good.sum() * bad.sum())
    below = np.cumsum(bad) - bad
    return float(good @ (below + bad / 2)) / pairs if pairs > 0 else 0.5


def _skill(lost: float, base_lost: float) -> float:
    return 1 - lost / base_lost if base_lost > 0 else 0.0


def _quantile(values: list[float], share: float) -> float:
    import numpy as np

    return float(np.quantile(values, share))


def _bin(predicted: "Floats", actual: "Floats", binary: bool) -> Bin:
    number, mean = len(actual), float(actual.mean())
    low, high = wilson(mean, number) if binary else _normal(mean, float(actual.std()), number)
    return Bin(number, float(predicted.mean()), mean, low, high)


def wilson(share: float, number: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (E. B. Wilson, "Probable Inference", 1927)."""
    middle = share + Z * Z / (2 * number)
    width = Z * sqrt(share * (1 - share) / number + Z * Z / (4 * number * number))
    return max(0.0, (middle - width) / (1 + Z * Z / number)), min(1.0, (middle + width) / (1 + Z * Z / number))


def _normal(mean: float, deviation: float, number: int) -> tuple[float, float]:
    width = Z * deviation / sqrt(number)
    return max(0.0, mean - width), min(1.0, mean + width)
