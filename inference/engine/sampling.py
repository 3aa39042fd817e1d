"""How an answer is drawn: every setting of a request, checked once, before anything of the model sees it.

Out of range is refused with a sentence that names the range. Only what depends on the model is clamped, by the engine:
`top_k` to the vocabulary, `max_tokens` to the room that the prompt leaves.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

MOST_TOKENS = 1_000_000
MOST_STOPS, LONGEST_STOP = 16, 100
MOST_BIASES = 300
LARGEST_SEED = 2**53 - 1
"""Larger whole numbers are rounded by browsers, and the answer could not be asked for again."""


class BadSetting(ValueError):
    """A setting that can not be used; `field` is its name."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


@dataclass(frozen=True)
class Sampling:
    """Settings of one answer. Make them from what somebody sent with `sampling`; None and 0 mean off."""

    max_tokens: int = 1024
    temperature: float = 1.0
    """0: always the likeliest token, so that the other settings except penalty and bias do not matter."""
    top_k: int = 0
    top_p: float = 1.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    logit_bias: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            _in_range(name, getattr(self, name), low, high)
        if self.top_p == 0 or self.typical_p == 0:
            name = "top_p" if self.top_p == 0 else "typical_p"
            raise BadSetting(f"{name} must be larger than 0: it is the share of the tokens that are kept.", name)
        _check_stops(self.stop)
        _check_biases(self.logit_bias)

    @property
    def greedy(self) -> bool:
        return self.temperature == 0

    def as_json(self) -> dict[str, Any]:
        """What `sampling` reads again; settings that are off are left out."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        given["stop"] = list(self.stop)
        given["logit_bias"] = {str(token): bias for token, bias in self.logit_bias.items()}
        return {name: value for name, value in given.items() if value not in ([], {})}


RANGES: Mapping[str, tuple[float, float]] = {
    "max_tokens": (1, MOST_TOKENS),
    "temperature": (0, 2),
    "top_k": (0, 1_000_000),
    "top_p": (0, 1),
    "typical_p": (0, 1),
    "repetition_penalty": (0.5, 3),
    "seed": (0, LARGEST_SEED),
}
"""From and to, both included."""
_WHOLE = ("max_tokens", "top_k", "seed")
_KNOWN = tuple(one.name for one in fields(Sampling))


def sampling(given: Mapping[str, Any]) -> Sampling:
    """`given` as somebody sent it (JSON). Unknown names are refused; null means the default."""
    unknown = [str(name)[:40] for name in given if name not in _KNOWN]
    if unknown:
        raise BadSetting(
            f"Unknown setting: {', '.join(sorted(unknown)[:5])}. Known are {', '.join(_KNOWN)}.", unknown[0]
        )
    values = {name: value for name, value in given.items() if value is not None}
    for name in RANGES:
        if name in values:
            values[name] = _number(name, values[name])
    if "stop" in values:
        values["stop"] = _stops(values["stop"])
    if "logit_bias" in values:
        values["logit_bias"] = _biases(values["logit_bias"])
    if values.get("max_tokens", 0) > MOST_TOKENS:
        values["max_tokens"] = MOST_TOKENS  # far beyond any context: the engine gives what there is room for
    return Sampling(**values)


def _number(name: str, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadSetting(f"{name} must be a number.", name)
    if name in _WHOLE:
        if isinstance(value, float) and not value.is_integer():  # also infinite and not-a-number
            raise BadSetting(f"{name} must be a whole number.", name)
        return int(value)
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _in_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # so written that not-a-number is refused
        raise BadSetting(f"{name} must be between {low:g} and {high:.16g}.", name)


def _stops(given: Any) -> tuple[str, ...]:
    stops = [given] if isinstance(given, str) else given
    if not isinstance(stops, list | tuple) or not all(isinstance(one, str) for one in stops):
        raise BadSetting("stop must be a text or a list of texts.", "stop")
    return tuple(stops)


def _check_stops(stops: tuple[str, ...]) -> None:
    if len(stops) > MOST_STOPS:
        raise BadSetting(f"There may be at most {MOST_STOPS} stop texts.", "stop")
    if any(not 0 < len(one) <= LONGEST_STOP for one in stops):
        raise BadSetting(f"A stop text must have 1 to {LONGEST_STOP} characters.", "stop")
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for one in stops for char in one):
        raise BadSetting("A stop text holds a character that can not be stored.", "stop")


def _biases(given: Any) -> dict[int, float]:
    if not isinstance(given, Mapping):
        raise BadSetting("logit_bias must map token ids to numbers.", "logit_bias")
    if len(given) > MOST_BIASES:
        raise BadSetting(f"logit_bias may name at most {MOST_BIASES} tokens.", "logit_bias")
    biases = {}
    for token, bias in given.items():
        if not str(token).isdecimal() or len(str(token)) > 9:
            raise BadSetting("logit_bias must map token ids to numbers.", "logit_bias")
        biases[int(str(token))] = _number("logit_bias", bias)
    return {token: float(bias) for token, bias in biases.items()}


def _check_biases(biases: Mapping[int, float]) -> None:
    for bias in biases.values():
        _in_range("logit_bias", bias, -100, 100)
