"""A calibration plot as plain geometry, which a template draws as SVG beside the table with the same numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext

from trees.quality.assessment import Bin

SIDE = 300
"""Of the square in which both axes go from 0 to 1. Units are those of the view box; the page scales it."""
LEFT, TOP, BOTTOM = 52, 12, 48
MARKS = (0, 0.25, 0.5, 0.75, 1)


@dataclass(frozen=True)
class Point:
    """Texts with like predictions: where they are, and the ends of their interval."""

    x: float
    y: float
    low: float
    high: float
    title: str


@dataclass(frozen=True)
class Mark:
    at: float
    """Along the axis."""
    text: str


@dataclass(frozen=True)
class Plot:
    points: tuple[Point, ...]
    columns: tuple[Mark, ...]
    lines: tuple[Mark, ...]
    width: int = LEFT + SIDE + 16
    height: int = TOP + SIDE + BOTTOM
    left: int = LEFT
    right: int = LEFT + SIDE
    top: int = TOP
    bottom: int = TOP + SIDE


def draw(bins: Sequence[Bin]) -> Plot:
    """Return the plot of these bins: what was predicted goes to the right, what came true upwards."""
    return Plot(
        tuple(_point(one) for one in bins),
        tuple(Mark(_x(mark), f"{mark:g}") for mark in MARKS),
        tuple(Mark(_y(mark), f"{mark:g}") for mark in MARKS),
    )


def _point(one: Bin) -> Point:
    words = gettext("Predicted %(predicted).2f, came true %(actual).2f (%(low).2f to %(high).2f), %(texts)d texts")
    names = ("predicted", "actual", "low", "high", "texts")
    title = words % {name: getattr(one, name) for name in names}
    return Point(_x(one.predicted), _y(one.actual), _y(one.low), _y(one.high), title)


def _x(value: float) -> float:
    return round(LEFT + SIDE * value, 1)


def _y(value: float) -> float:
    return round(TOP + SIDE * (1 - value), 1)
