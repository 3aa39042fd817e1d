"""What a toxicity scorer is asked, and what it answers."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_NAMES = {
    "toxicity": "toxicity",
    "toxic": "toxicity",
    "severe_toxicity": "severe_toxicity",
    "severe_toxic": "severe_toxicity",
    "obscene": "obscene",
    "obscenity": "obscene",
    "profanity": "obscene",
    "identity_attack": "identity_attack",
    "identity_hate": "identity_attack",
    "insult": "insult",
    "threat": "threat",
    "sexual_explicit": "sexual_explicit",
    "sexually_explicit": "sexual_explicit",
}
"""Our names, by those of models."""


@dataclass(frozen=True)
class Question:
    text: str
    lang: str


@dataclass(frozen=True)
class Scores:
    values: Mapping[str, float]
    """By the names in `toxicity.SCORES`, from 0 to 1."""
    raw: tuple[tuple[str, float], ...]
    """All labels of the model with their scores, as it names them."""
    model: str
    version: str


class WrongAnswer(Exception):
    """A scorer answered something that is no scores."""


def our_name(label: str) -> str | None:
    """Return the name in `toxicity.SCORES` for a label of a model, or None if it means something else."""
    return _NAMES.get(label.lower().replace(" ", "_").replace("-", "_"))


def named_scores(raw: Iterable[tuple[object, object]], *, model: str, version: str) -> Scores:
    """Return scores by our names. Raise WrongAnswer if one is no number from 0 to 1, or none is called toxicity."""
    values: dict[str, float] = {}
    pairs: list[tuple[str, float]] = []
    for label, score in raw:
        if not isinstance(label, str) or isinstance(score, bool) or not isinstance(score, int | float):
            raise WrongAnswer("a label without a number")
        if not math.isfinite(score) or not 0 <= score <= 1:
            raise WrongAnswer("a score that is not from 0 to 1")
        pairs.append((label, float(score)))
        name = our_name(label)
        if name is not None:
            values[name] = float(score)
    if "toxicity" not in values:
        raise WrongAnswer("no score called toxicity")
    return Scores(values, tuple(pairs), model, version)
