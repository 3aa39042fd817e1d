"""A report as one HTML page, with all that it needs inside: the verdict first, then figures, then answers side by side.

Everything that a model or a person wrote is escaped.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from inference.evaluating.gate import Verdict
from inference.evaluating.report import Figure, Measure, Report

_HERE = Path(__file__).parent
_PARTS = {
    "held_out": "Held-out conversations",
    "reward": "Compared by the reward model",
    "judge": "Compared by the judge",
    "format": "Form of the answers",
    "language": "Language of the answers",
    "safety": "Safety",
    "reward_model": "The reward model itself",
    "tasks": "Tasks",
}
_UNITS = {"bits": " bits", "nats": ""}
_FAILINGS = {
    "empty": "empty",
    "role_leak": "goes on with another turn",
    "repeats": "caught in a loop",
    "refuses": "refuses",
}


def write_page(report: Report, path: Path, verdict: Verdict | None = None) -> None:
    """Write the page. It appears complete or not at all. Raise OSError."""
    unfinished = path.with_name(f".{path.name}.partial")
    unfinished.write_text(page(report, verdict), "utf-8", errors="replace")
    os.replace(unfinished, path)


def page(report: Report, verdict: Verdict | None = None) -> str:
    """Return the page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((_HERE / "page.html.jinja").read_text("utf-8"))
    prompts = list(_prompts(report))
    return template.render(
        report=report,
        verdict=verdict,
        style=(_HERE / "page.css").read_text("utf-8"),
        parts=list(parts(report)),
        ordinary=[one for one in prompts if one.harmful is None],
        safety=[one for one in prompts if one.harmful is not None],
        names=[one["model_name"] for one in report.sampling],
        seconds=sum(report.seconds.values()),
    )


@dataclass(frozen=True)
class Line:
    """One measure as the page shows it."""

    name: str
    title: str
    model: str
    model_interval: str
    against: str
    against_interval: str
    number: int
    change: str
    """An arrow and how much it is more or less; empty if nothing was compared."""
    change_interval: str
    meaning: str
    """better, worse, or unclear; empty if neither is better."""


def parts(report: Report) -> Iterator[tuple[str, list[Line]]]:
    """Yield the titles of the parts and their lines, in the order in which a person asks."""
    for part, title in _PARTS.items():
        lines = [_line(name, measure) for name, measure in report.measures.items() if name.partition(".")[0] == part]
        if lines:
            yield title, lines


def _line(name: str, measure: Measure) -> Line:
    unit, other, difference = measure.unit, measure.against, measure.difference
    return Line(
        name=name,
        title=measure.title,
        model=_value(measure.model, unit),
        model_interval=_interval(measure.model, unit),
        against="" if other is None else _value(other, unit),
        against_interval="" if other is None else _interval(other, unit),
        number=measure.model.number,
        change="" if difference is None else _change(difference, unit),
        change_interval="" if difference is None else _interval(difference, unit, is_change=True),
        meaning="" if difference is None else _meaning(measure, difference),
    )


def _value(figure: Figure, unit: str) -> str:
    return figure.cause or "–" if figure.value is None else show(figure.value, unit)


def _interval(figure: Figure, unit: str, *, is_change: bool = False) -> str:
    if figure.value is None or figure.low is None or figure.high is None:
        return ""
    sign = "+" if is_change else ""
    return f"{show(figure.low, unit, sign)} to {show(figure.high, unit, sign)}"


def _change(difference: Figure, unit: str) -> str:
    if difference.value is None:
        return difference.cause
    if difference.value == 0:
        return "="
    return f"{'▲' if difference.value > 0 else '▼'} {show(difference.value, unit, '+')}"


def _meaning(measure: Measure, difference: Figure) -> str:
    if difference.value is None or measure.better == "":
        return ""
    if difference.value == 0:
        return "no difference"
    is_sure = difference.low is not None and difference.high is not None and difference.low * difference.high > 0
    if not is_sure:
        return "unclear"
    return "better" if (difference.value > 0) == (measure.better == "higher") else "worse"


def show(value: float, unit: str, sign: str = "") -> str:
    """Return a number for people."""
    if unit == "share":
        return f"{100 * value:{sign}.1f}\N{NO-BREAK SPACE}%"
    return f"{value:{sign}.4g}{_UNITS.get(unit, '')}"


@dataclass(frozen=True)
class Shown:
    """One answer."""

    text: str
    finish: str
    tokens: int
    failings: list[str]
    score: float | None


@dataclass(frozen=True)
class ShownPrompt:
    messages: list[dict[str, str]]
    lang: str
    kind: str
    harmful: bool | None
    answers: list[list[Shown]]
    """Of each model."""


def _prompts(report: Report) -> Iterator[ShownPrompt]:
    """Yield the prompts, each with the answers of all models."""
    for together in zip(*(one["prompts"] for one in report.sampling), strict=True):
        first = together[0]
        yield ShownPrompt(
            messages=first["messages"],
            lang=first["lang"],
            kind=first["kind"],
            harmful=first["harmful"],
            answers=[list(_answers(one)) for one in together],
        )


def _answers(prompt: dict[str, Any]) -> Iterator[Shown]:
    for result in prompt["results"]:
        for text, details in zip(result["outputs"], result["details"], strict=True):
            failings = [words for name, words in _FAILINGS.items() if details[name]]
            if details["other_language"]:
                failings.append(f"in {details['other_language']}")
            finish = "ended" if details["finish_reason"] == "eos_token" else "cut at the limit"
            yield Shown(text, finish, details["tokens"], failings, details["score"])
