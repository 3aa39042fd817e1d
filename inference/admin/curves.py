"""The curves of a training as plain geometry, which a template draws as SVG beside a table with the same numbers.

Units are those of the view box; the page scales it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from inference.runs.points import spread

LEFT, TOP, BOTTOM = 64, 28, 24
WIDTH, HEIGHT = 320, 150
"""Of the field between the axes."""
MOST_DRAWN = 300
"""Points of a line: no screen shows more."""
MOST_ROWS = 60
"""Of the table."""
PLOTS = (
    (_("Loss"), ("loss", "eval_loss")),
    (_("Accuracy"), ("accuracy", "eval_accuracy")),
    (_("Reward"), ("reward", "eval_reward")),
    (_("Distance from the base model (KL)"), ("kl",)),
    (_("Learning rate"), ("learning_rate",)),
)
_VALIDATION = "eval_"
Points = Sequence[tuple[int, Mapping[str, float]]]
"""Figures by step, in the order of steps."""
Place = Callable[[int, float], tuple[float, float]]
"""From a step and a value to x and y."""


@dataclass(frozen=True)
class Mark:
    at: float
    """Along the axis."""
    text: str


@dataclass(frozen=True)
class Line:
    name: str
    tone: str
    path: str
    """The points of an SVG polyline."""
    dots: tuple[tuple[float, float, str], ...]
    """x, y and title of single points; only where they are few."""


@dataclass(frozen=True)
class Plot:
    title: str
    lines: tuple[Line, ...]
    columns: tuple[Mark, ...]
    rows: tuple[Mark, ...]
    words: str
    """What it shows, for those who cannot see it."""
    width: int = LEFT + WIDTH + 16
    height: int = TOP + HEIGHT + BOTTOM
    left: int = LEFT
    right: int = LEFT + WIDTH
    top: int = TOP
    bottom: int = TOP + HEIGHT


def draw(points: Points, steps: int) -> list[Plot]:
    """Return a plot for each kind of figure that there is; `steps` is where the horizontal axis ends."""
    last = max([steps, *(step for step, _figures in points)], default=0)
    plots = ((title, [(name, values_of(name, points)) for name in names]) for title, names in PLOTS)
    return [
        _plot(str(title), [one for one in found if one[1]], last) for title, found in plots if any(v for _n, v in found)
    ]


def values_of(name: str, points: Points) -> list[tuple[int, float]]:
    return [(step, figures[name]) for step, figures in points if name in figures]


def table_of(points: Points) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the names of the figures, and the rows of the table: a step, and the figures as text."""
    names = [name for _title, names in PLOTS for name in names if any(name in figures for _step, figures in points)]
    rare = {step for step, figures in points if any(name.startswith(_VALIDATION) for name in figures)}
    shown = {*spread([step for step, _figures in points], MOST_ROWS), *spread(sorted(rare), MOST_ROWS)}
    rows = [
        (step, [f"{figures[name]:.4g}" if name in figures else "–" for name in names])
        for step, figures in points
        if step in shown
    ]
    return names, rows


def _plot(title: str, found: list[tuple[str, list[tuple[int, float]]]], last: int) -> Plot:
    values = [value for _name, line in found for _step, value in line]
    low, high, marks = _scale(min(values), max(values))

    def place(step: int, value: float) -> tuple[float, float]:
        x = LEFT + WIDTH * step / max(last, 1)
        return round(x, 1), round(TOP + HEIGHT * (high - value) / (high - low), 1)

    lines = tuple(_line(name, line, place) for name, line in found)
    columns = tuple(Mark(place(step, low)[0], f"{step:,}") for step in sorted({0, last // 2, last}))
    rows = tuple(Mark(place(0, mark)[1], f"{mark:.3g}") for mark in marks)
    return Plot(title, lines, columns, rows, " ".join([f"{title}.", *(_in_words(*one) for one in found)]))


def _line(name: str, values: list[tuple[int, float]], place: Place) -> Line:
    shown, label = set(spread([step for step, _value in values], MOST_DRAWN)), _label(name)
    places = [(*place(step, value), f"{label}, {step:,}: {value:.4g}") for step, value in values if step in shown]
    path = " ".join(f"{x:g},{y:g}" for x, y, _title in places)
    tone = "validation" if name.startswith(_VALIDATION) else "training"
    return Line(label, tone, path, tuple(places) if len(places) <= 20 else ())


def _label(name: str) -> str:
    return gettext("validation part") if name.startswith(_VALIDATION) else gettext("training part")


def _in_words(name: str, values: list[tuple[int, float]]) -> str:
    words = gettext("On the %(part)s: %(first).4g at first, %(last).4g at last.")
    return words % {"part": _label(name), "first": values[0][1], "last": values[-1][1]}


def _scale(low: float, high: float) -> tuple[float, float, list[float]]:
    """Return the ends of an axis at round numbers around these values, and the marks on it: five or six at most."""
    span = high - low or abs(high) or 1.0
    raw = span / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    if first == last:
        last += 1
    marks = [number * step for number in range(first, last + 1)]
    return marks[0], marks[-1], marks
