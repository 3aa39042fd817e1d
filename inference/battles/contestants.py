"""Who answers a battle: models, or the settings of one model, or one model twice.

Pairs are drawn by what one more vote would teach, the rule of Chiang et al. 2024 (2403.04132, section 5): the expected
fall of the standard error of the pair's win rate.
"""

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Any

from inference.chats.presets import BUILT_IN, DEFAULT, NAMES
from inference.comparing.bradley_terry import ELO
from inference.models import BattleBoard
from inference.registry.offer import models_for
from oasst.accounts.models import User

CHECK_SHARE = 0.05
"""Of all battles, those in which one answer is noise on purpose."""
LONGEST = 400
"""Tokens of an answer: people read both, and wait for the longer one."""
NOISE: Mapping[str, Any] = {"temperature": 2.0, "top_k": 0, "top_p": 1.0, "max_tokens": LONGEST}


class Kind(StrEnum):
    """What the two answers differ in."""

    MODELS = "models"
    PRESETS = "presets"
    DRAFTS = "drafts"


@dataclass(frozen=True, order=True)
class Contestant:
    model: str
    preset: str = DEFAULT

    @property
    def key(self) -> str:
        return f"{self.model}\n{self.preset}"

    @property
    def sampling(self) -> dict[str, Any]:
        return {**BUILT_IN[self.preset], "max_tokens": LONGEST}


@dataclass(frozen=True)
class Pairing:
    left: Contestant
    right: Contestant
    noise: str = ""
    """`left` or `right` if that answer is noise on purpose."""

    def sides(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return the model and the settings of each side."""
        return [
            (one.model, NOISE if side == self.noise else one.sampling)
            for side, one in (("left", self.left), ("right", self.right))
        ]


def kinds_for(user: User) -> list[Kind]:
    """Return what this user can compare, the most telling first; nothing if chat is off."""
    models = models_for(user)
    if not models:
        return []
    return [*([Kind.MODELS] if len(models) > 1 else []), Kind.PRESETS, Kind.DRAFTS]


def draw(user: User, kind: Kind, chance: random.Random) -> Pairing:
    """Draw two contestants that this user is offered, and their sides. One statement."""
    models = models_for(user)
    if kind == Kind.DRAFTS:
        one = Contestant(chance.choice(models))
        return _with_noise(one, one, chance)
    if kind == Kind.MODELS:
        pool = [Contestant(model) for model in models]
    else:
        model = chance.choice(models)
        pool = [Contestant(model, preset) for preset in NAMES]
    pairs = list(combinations(pool, 2))
    one, other = chance.choices(pairs, weights=_weights(pairs, BattleBoard.objects.filter(lang="").first()))[0]
    if chance.random() < 0.5:
        one, other = other, one
    return _with_noise(one, other, chance)


def _with_noise(left: Contestant, right: Contestant, chance: random.Random) -> Pairing:
    noise = chance.choice(("left", "right")) if chance.random() < CHECK_SHARE else ""
    return Pairing(left, right, noise)


def _weights(pairs: Sequence[tuple[Contestant, Contestant]], board: BattleBoard | None) -> list[float]:
    """Return what one more vote about each pair would teach, by the last board."""
    strengths: dict[str, float] = {}
    met: Counter[frozenset[str]] = Counter()
    for row in board.standing if board is not None else []:
        key = Contestant(row["model"], row["preset"]).key
        strengths[key] = row["points"] / ELO
        for other, number in row["against"].items():
            met[frozenset((key, other))] = number
    return [_gain(strengths, met[frozenset((a.key, b.key))], a.key, b.key) for a, b in pairs]


def _gain(strengths: Mapping[str, float], number: int, one: str, other: str) -> float:
    chance = 1 / (1 + math.exp(strengths.get(other, 0.0) - strengths.get(one, 0.0)))
    spread = math.sqrt(chance * (1 - chance))
    return spread / math.sqrt(number + 1) - spread / math.sqrt(number + 2)
