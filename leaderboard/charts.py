"""Charts as plain geometry, which one template draws as SVG next to the table with the same numbers.

Units are those of the view box; the page scales it. Colors are classes of static/css/board.css.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _

WIDTH = 520
LABEL = 170  # width of the names on the left
MAX_NAME_LENGTH = 20  # characters of a name
ROW, BAR = 28, 18
TALL = 220  # height of columns
WIDE = 760  # of a chart over the whole page
DIGIT = 13  # width of a digit on a phone, where the letters are larger
NAMED = 6  # at most so many names below columns
NAMED_WIDE = 4  # the same of a chart over the whole page, so that they fit on a phone
MAX_ROWS = 12
MAX_INTERVALS = 16  # all labels


@dataclass(frozen=True)
class Rect:
    x: float
    y: float
    width: float
    height: float
    tone: str
    title: str = ""
    radius: float = 0  # of its corners


@dataclass(frozen=True)
class Label:
    x: float
    y: float
    text: str
    anchor: str = "start"
    turn: int = 0  # degrees


@dataclass(frozen=True)
class Area:
    points: str  # of a polygon
    tone: str
    title: str


@dataclass
class Chart:
    height: int
    rects: list[Rect] = field(default_factory=list)
    areas: list[Area] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)
    width: int = WIDTH


Rows = Sequence[Sequence[Any]]


def draw(kind: str, columns: Sequence[str], rows: Rows) -> Chart | None:
    """Return a chart of kind "bars", "columns", "growth", "heat", "intervals" or "pairs"; None without data."""
    if not rows or not any(value for row in rows for value in row[1:]):
        return None
    kinds = {
        "bars": _bars,
        "columns": _columns,
        "growth": _growth,
        "heat": _heat,
        "intervals": _intervals,
        "pairs": _pairs,
    }
    return kinds[kind](columns, rows)


def _legend(columns: Sequence[str]) -> list[tuple[str, str]]:
    return [(f"series-{number}", name) for number, name in enumerate(columns[1:])] if len(columns) > 2 else []


def _bars(columns: Sequence[str], rows: Rows) -> Chart:
    """Draw a bar for each row, with its values side by side."""
    rows = rows[:MAX_ROWS]
    chart = Chart(ROW * len(rows), legend=_legend(columns))
    longest = max(sum(max(0, value or 0) for value in row[1:]) for row in rows) or 1
    scale = (WIDTH - LABEL - 60) / longest
    for number, (name, *values) in enumerate(rows):
        x, y = float(LABEL), number * ROW + (ROW - BAR) / 2
        chart.labels.append(Label(LABEL - 8, y + BAR - 5, _short(name), "end"))
        for series, value in enumerate(values):
            width = max(0, value or 0) * scale
            if width:
                title = f"{name}, {columns[series + 1]}: {value}"
                chart.rects.append(Rect(round(x, 1), y, round(width, 1), BAR, f"series-{series}", title))
            x += width
        total = sum(value or 0 for value in values)
        chart.labels.append(Label(round(x + 6, 1), y + BAR - 5, f"{total:g}"))
    return chart


def _columns(columns: Sequence[str], rows: Rows) -> Chart:
    """Draw a column for each row, with its values stacked."""
    chart = Chart(TALL + 24, legend=_legend(columns))
    highest = max(sum(value or 0 for value in row[1:]) for row in rows) or 1
    step = WIDTH / len(rows)
    for number, (name, *values) in enumerate(rows):
        x, y = number * step + step * 0.15, float(TALL)
        for series, value in enumerate(values):
            height = (value or 0) * (TALL - 20) / highest
            y -= height
            if height:
                title = f"{name}, {columns[series + 1]}: {value}"
                chart.rects.append(
                    Rect(round(x, 1), round(y, 1), round(step * 0.7, 1), round(height, 1), f"series-{series}", title)
                )
        total = sum(value or 0 for value in values)
        if total:
            chart.labels.append(Label(round(x + step * 0.35, 1), round(y - 4, 1), f"{total:g}", "middle"))
        if number % math.ceil(len(rows) / NAMED) == 0:
            chart.labels.append(Label(round(x + step * 0.35, 1), TALL + 16, str(name), "middle"))
    return chart


def _growth(columns: Sequence[str], rows: Rows) -> Chart:
    """Draw the values of each column over the rows as areas, one upon the other, on a wide canvas with round ticks."""
    chart = Chart(TALL + 36, legend=_legend(columns), width=WIDE)
    left, highest = _ticks(chart, max(sum(row[1:]) for row in rows))
    right = WIDE - 8
    xs = [round(left + number * (right - left) / max(1, len(rows) - 1), 1) for number in range(len(rows))]
    floor = [0] * len(rows)
    for series in range(1, len(columns)):
        roof = [low + row[series] for low, row in zip(floor, rows, strict=True)]
        edge = [*zip(xs, roof, strict=True), *reversed(list(zip(xs, floor, strict=True)))]
        points = " ".join(f"{x:g},{round(TALL - value * (TALL - 20) / highest, 1):g}" for x, value in edge)
        title = f"{columns[series]}: {rows[0][series]} – {rows[-1][series]}"
        chart.areas.append(Area(points, f"series-{series - 1}", title))
        floor = roof
    _name_some(chart, xs, rows)
    return chart


def _ticks(chart: Chart, most: int) -> tuple[int, int]:
    """Draw lines at round numbers. Return where the drawing begins, and the number at its top."""
    step = tick_of(most)
    highest = step * math.ceil(most / step)
    names = {tick: number_format(tick, use_l10n=True, force_grouping=True) for tick in range(0, highest + 1, step)}
    left, right = 16 + DIGIT * max(len(name) for name in names.values()), WIDE - 8
    for tick, name in names.items():
        y = round(TALL - tick * (TALL - 20) / highest, 1)
        chart.rects.append(Rect(left, y, right - left, 1, "axis" if tick else "axis-zero"))
        chart.labels.append(Label(left - 8, y + 4, name, "end"))
    return left, highest


def _name_some(chart: Chart, xs: Sequence[float], rows: Rows) -> None:
    """Write the names of some rows below a wide chart, the first and the last among them."""
    last = len(rows) - 1
    named = min(NAMED_WIDE, len(rows))
    for number in sorted({round(part * last / max(1, named - 1)) for part in range(named)}):
        anchor = "start" if number == 0 else "end" if number == last else "middle"
        chart.labels.append(Label(xs[number], TALL + 26, str(rows[number][0]), anchor))


def _pairs(columns: Sequence[str], rows: Rows) -> Chart:
    """Draw the values of each row as columns side by side, on a wide canvas with round ticks."""
    chart = Chart(TALL + 36, legend=_legend(columns), width=WIDE)
    left, highest = _ticks(chart, max(max(row[1:]) for row in rows))
    step = (WIDE - 8 - left) / len(rows)
    width = step * 0.8 / (len(columns) - 1)
    for number, (name, *values) in enumerate(rows):
        for series, value in enumerate(values):
            height = round(value * (TALL - 20) / highest, 1)
            x = round(left + number * step + step * 0.1 + series * width, 1)
            if height:
                title = f"{name}, {columns[series + 1]}: {value}"
                chart.rects.append(Rect(x, TALL - height, round(width, 1), height, f"series-{series}", title))
    _name_some(chart, [round(left + (number + 0.5) * step, 1) for number in range(len(rows))], rows)
    return chart


def tick_of(highest: int) -> int:
    """Return the distance of round numbers (1, 2 or 5 times a power of ten) of which at most five reach the highest."""
    power = 10 ** max(0, len(str(highest)) - 2)
    return next(step for factor in (1, 2, 5, 10, 20, 50) if (step := factor * power) * 5 >= highest)


SHADES = 5


def _heat(columns: Sequence[str], rows: Rows) -> Chart:
    """Draw a cell for each value from 0 to 1: the higher, the darker."""
    rows = rows[:MAX_ROWS]
    bottom = ROW * len(rows)
    chart = Chart(bottom + 90)
    step = (WIDTH - LABEL) / max(1, len(columns) - 1)
    for number, (name, *values) in enumerate(rows):
        y = number * ROW
        chart.labels.append(Label(LABEL - 8, y + 18, _short(name), "end"))
        for position, value in enumerate(values):
            tone = "heat-none" if value is None else f"heat-{min(SHADES - 1, max(0, int(value * SHADES)))}"
            title = f"{name}, {columns[position + 1]}: {_('too few answers') if value is None else value}"
            chart.rects.append(Rect(round(LABEL + position * step, 1), y, round(step - 2, 1), ROW - 2, tone, title))
    for position, name in enumerate(columns[1:]):
        chart.labels.append(Label(round(LABEL + (position + 0.7) * step, 1), bottom + 10, _short(name), "end", -50))
    return chart


DOT = 10
CAP = 8  # height of the ends of an interval


def _intervals(columns: Sequence[str], rows: Rows) -> Chart:
    """Draw for each row of (name, value, low, high) with a value a point there and a line from low to high.

    The axis goes to 1, and begins at 0 or at the negative half below the lowest end.
    """
    rows = [row for row in rows if row[1] is not None][:MAX_INTERVALS]
    bottom = ROW * len(rows)
    chart = Chart(bottom + 24)
    lowest = min((end for row in rows for end in row[1:4] if end is not None), default=0.0)
    start = min(0.0, math.floor(2 * lowest) / 2)
    scale = (WIDTH - LABEL - 60) / (1 - start)

    def x_of(value: float) -> float:
        return round(LABEL + (value - start) * scale, 1)

    for number in range(round(2 * (1 - start)) + 1):
        mark = start + number / 2
        chart.rects.append(Rect(x_of(mark) - 0.5, 0, 1, bottom, "axis" if mark else "axis-zero"))
        chart.labels.append(Label(x_of(mark), bottom + 18, f"{mark:g}", "middle"))
    for number, (name, value, low, high) in enumerate(rows):
        middle = number * ROW + ROW / 2
        chart.labels.append(Label(LABEL - 12, middle + 5, _short(name), "end"))
        title = f"{name}: {value}"
        if low is not None and high is not None:
            title = f"{title}, {columns[2].lower()} {low} {columns[3].lower()} {high}"
            width = round(x_of(high) - x_of(low), 1)
            chart.rects.append(Rect(x_of(low), middle - 1, max(width, 1), 2, "interval", title))
            chart.rects.extend(Rect(x_of(end) - 1, middle - CAP / 2, 2, CAP, "interval") for end in (low, high))
        chart.rects.append(Rect(x_of(value) - DOT / 2, middle - DOT / 2, DOT, DOT, "series-0", title, DOT / 2))
        chart.labels.append(Label(WIDTH - 4, middle + 5, f"{value:.2f}", "end"))
    return chart


def _short(name: Any) -> str:
    text = str(name)
    return text if len(text) <= MAX_NAME_LENGTH else f"{text[: MAX_NAME_LENGTH - 1].rstrip()}…"
