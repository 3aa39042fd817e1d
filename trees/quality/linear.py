"""Linear models with an L2 penalty: logistic regression and ridge regression. No database.

Both minimize the sum of losses plus `PENALTY / 2` times the squared length of the weights without the constant, so
their results are those of scikit-learn's `LogisticRegression(C=1 / PENALTY)` and, with half the squared error as loss,
`Ridge(alpha=PENALTY)`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Matrix = NDArray[np.float32]

PENALTY = 0.3
"""Less is better where reviewers hardly ever err, more where they often do (`measure_quality`, decision 118)."""
ROUNDS = 50
SETTLED = 1e-10
CHUNK = 4_096
"""Rows that are converted to double precision at once."""


def linear_predictor(rows: "Matrix", weights: "Floats") -> "Floats":
    """Return the linear score of each row. `weights` are those of the columns, then the constant."""
    import numpy as np

    scores = np.empty(len(rows))
    for at in range(0, len(rows), CHUNK):
        scores[at : at + CHUNK] = rows[at : at + CHUNK] @ weights[:-1] + weights[-1]
    return scores


def probability(scores: "Floats") -> "Floats":
    """Return the logistic function of linear scores."""
    import numpy as np

    return 1 / (1 + np.exp(-np.clip(scores, -500, 500)))


def fit_ridge(rows: "Matrix", targets: "Floats", *, penalty: float = PENALTY) -> "Floats":
    """Return the weights of a ridge regression (Hoerl and Kennard, 1970)."""
    import numpy as np

    left, right = _sums(rows, np.ones(len(rows)), targets, penalty)
    return np.asarray(np.linalg.solve(left, right), dtype=np.float64)


def fit_logistic(rows: "Matrix", targets: "Floats", *, penalty: float = PENALTY) -> "Floats":
    """Return the weights of a logistic regression for targets of 0 and 1.

    Newton's method, as iteratively reweighted least squares (Hastie, Tibshirani and Friedman, "The Elements of
    Statistical Learning", 2nd edition, section 4.4.1). A step is halved until it makes the loss smaller.
    """
    import numpy as np

    weights = np.zeros(rows.shape[1] + 1)
    scores, loss = np.zeros(len(rows)), len(rows) * float(np.log(2))
    for _ in range(ROUNDS):
        chances = probability(scores)
        spread = np.maximum(chances * (1 - chances), 1e-10)
        left, right = _sums(rows, spread, scores + (targets - chances) / spread, penalty)
        goal = np.linalg.solve(left, right)
        step = 1.0
        while True:
            tried = weights + step * (goal - weights)
            tried_scores = linear_predictor(rows, tried)
            tried_loss = _loss(tried_scores, targets, tried, penalty)
            if tried_loss <= loss or step < SETTLED:
                break
            step /= 2
        if tried_loss > loss:
            return weights  # no step helps: rounding errors are all that is left
        moved, gained = float(np.abs(tried - weights).max()), loss - tried_loss
        weights, scores, loss = tried, tried_scores, tried_loss
        if moved < SETTLED or gained < SETTLED * max(1.0, loss):
            break
    return weights


def _sums(rows: "Matrix", importance: "Floats", targets: "Floats", penalty: float) -> "tuple[Floats, Floats]":
    """Return both sides of the normal equations of a weighted ridge regression. The last column is the constant."""
    import numpy as np

    columns = rows.shape[1]
    left, right = np.diag([penalty] * columns + [0.0]), np.zeros(columns + 1)
    for at in range(0, len(rows), CHUNK):
        part = np.ones((len(rows[at : at + CHUNK]), columns + 1))
        part[:, :-1] = rows[at : at + CHUNK]
        weighted = part * importance[at : at + CHUNK, None]
        left += weighted.T @ part
        right += weighted.T @ targets[at : at + CHUNK]
    return left, right


def _loss(scores: "Floats", targets: "Floats", weights: "Floats", penalty: float) -> float:
    import numpy as np

    lost = np.logaddexp(0, scores) - targets * scores
    return float(lost.sum() + penalty / 2 * (weights[:-1] @ weights[:-1]))
