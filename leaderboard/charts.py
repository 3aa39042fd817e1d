"""Charts as plain geometry, which one template draws as SVG next to the table with the same numbers.

Units are those of the view box; the page scales it. Colors are classes of static/css/board.css.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

WIDTH = 520
LABEL = 170  # width of the names on the left
MAX_NAME_LENGTH = 20  # characters of a name
ROW, BAR = 28, 18
TALL = 220  # height of columns
MAX_ROWS = 12


@dataclass(frozen=True)
class Rect:
    x: float
    y: float
    width: float
    height: float
    tone: str
    title: str


@dataclass(frozen=True)
class Label:
    x: float
    y: float
    text: str
    anchor: str = "start"
    turn: int = 0  # degrees


@dataclass
class Chart:
    height: int
    rects: list[Rect] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)
    width: int = WIDTH


Rows = Sequence[Sequence[Any]]


def draw(kind: str, columns: Sequence[str], rows: Rows) -> Chart | None:
    """Return a chart of kind "bars", "columns" or "heat"; None if there is nothing to draw."""
    if not rows or not any(value for row in rows for value in row[1:]):
        return None
    return {"bars": _bars, "columns": _columns, "heat": _heat}[kind](columns, rows)


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
        chart.labels.append(Label(round(x + step * 0.35, 1), TALL + 16, str(name)[5:], "middle"))
    return chart


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
            title = f"{name}, {columns[position + 1]}: {'too few answers' if value is None else value}"
            chart.rects.append(Rect(round(LABEL + position * step, 1), y, round(step - 2, 1), ROW - 2, tone, title))
    for position, name in enumerate(columns[1:]):
        chart.labels.append(Label(round(LABEL + (position + 0.7) * step, 1), bottom + 10, _short(name), "end", -50))
    return chart


def _short(name: Any) -> str:
    text = str(name)
    return text if len(text) <= MAX_NAME_LENGTH else f"{text[: MAX_NAME_LENGTH - 1].rstrip()}…"
