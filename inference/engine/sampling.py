"""The sampling settings of a request, checked before the model gets them.

A value out of range is refused. Only what depends on the model is clamped, by the engine: `top_k` to the vocabulary,
`max_tokens` to what the prompt leaves of the context.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

MAX_TOKENS = 1_000_000
MAX_STOPS, MAX_STOP_LENGTH = 16, 100
MAX_BIASES = 300
MAX_SEED = 2**53 - 1
"""Browsers round larger integers, so the answer could not be repeated."""


class InvalidSetting(ValueError):
    """An invalid setting; `field` is its name."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


@dataclass(frozen=True)
class Sampling:
    """Settings of one answer. `parse_sampling` makes them from JSON. The defaults mean off."""

    max_tokens: int = 1024
    temperature: float = 1.0
    """0: always the likeliest token. Then only penalty and bias matter too."""
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
            raise InvalidSetting(f"{name} must be larger than 0: it is the share of the tokens that are kept.", name)
        _check_stops(self.stop)
        for bias in self.logit_bias.values():
            _in_range("logit_bias", bias, -100, 100)

    @property
    def greedy(self) -> bool:
        return self.temperature == 0

    def as_json(self) -> dict[str, Any]:
        """Return the settings as JSON, without empty stops and biases."""
        biases = {str(token): bias for token, bias in self.logit_bias.items()}
        values = {**vars(self), "stop": list(self.stop), "logit_bias": biases}
        return {name: value for name, value in values.items() if value not in ([], {})}


RANGES: Mapping[str, tuple[float, float]] = {
    "max_tokens": (1, MAX_TOKENS),
    "temperature": (0, 2),
    "top_k": (0, 1_000_000),
    "top_p": (0, 1),
    "typical_p": (0, 1),
    "repetition_penalty": (0.5, 3),
    "seed": (0, MAX_SEED),
}
"""Lowest and highest value, both allowed."""
_INTEGERS = ("max_tokens", "top_k", "seed")
_KNOWN = tuple(setting.name for setting in fields(Sampling))


def parse_sampling(settings: Mapping[str, Any]) -> Sampling:
    """Make settings from JSON. None means the default. Raise InvalidSetting, also for unknown names."""
    unknown = [str(name)[:40] for name in settings if name not in _KNOWN]
    if unknown:
        raise InvalidSetting(
            f"Unknown setting: {', '.join(sorted(unknown)[:5])}. Known are {', '.join(_KNOWN)}.", unknown[0]
        )
    values = {name: value for name, value in settings.items() if value is not None}
    for name in RANGES:
        if name in values:
            values[name] = _number(name, values[name])
    if "stop" in values:
        values["stop"] = _stops(values["stop"])
    if "logit_bias" in values:
        values["logit_bias"] = _biases(values["logit_bias"])
    if values.get("max_tokens", 0) > MAX_TOKENS:
        values["max_tokens"] = MAX_TOKENS  # far beyond any context, which limits it further
    return Sampling(**values)


def _number(name: str, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidSetting(f"{name} must be a number.", name)
    if name in _INTEGERS:
        if isinstance(value, float) and not value.is_integer():  # also refuses infinity and not-a-number
            raise InvalidSetting(f"{name} must be a whole number.", name)
        return int(value)
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _in_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # written so that not-a-number is refused
        raise InvalidSetting(f"{name} must be between {low:g} and {high:.16g}.", name)


def _stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list | tuple) or not all(isinstance(stop, str) for stop in stops):
        raise InvalidSetting("stop must be a text or a list of texts.", "stop")
    return tuple(stops)


def _check_stops(stops: tuple[str, ...]) -> None:
    if len(stops) > MAX_STOPS:
        raise InvalidSetting(f"There may be at most {MAX_STOPS} stop texts.", "stop")
    if any(not 0 < len(stop) <= MAX_STOP_LENGTH for stop in stops):
        raise InvalidSetting(f"A stop text must have 1 to {MAX_STOP_LENGTH} characters.", "stop")
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for stop in stops for char in stop):
        raise InvalidSetting("A stop text holds a character that cannot be stored.", "stop")


def _biases(value: Any) -> dict[int, float]:
    if not isinstance(value, Mapping):
        raise InvalidSetting("logit_bias must map token ids to numbers.", "logit_bias")
    if len(value) > MAX_BIASES:
        raise InvalidSetting(f"logit_bias may name at most {MAX_BIASES} tokens.", "logit_bias")
    biases: dict[int, float] = {}
    for token, bias in value.items():
        if not str(token).isdecimal() or len(str(token)) > 9:
            raise InvalidSetting("logit_bias must map token ids to numbers.", "logit_bias")
        biases[int(str(token))] = float(_number("logit_bias", bias))
    return biases
