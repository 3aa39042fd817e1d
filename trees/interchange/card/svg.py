"""Charts as SVG: bars, histograms, and estimates with intervals. Pure: the same figures give the same bytes.

A chart scales with its place, is readable in light and dark, and says in words what it shows. Colors are classes, for
which a page has its own style sheet and a file brings one along.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10
from pathlib import Path

WIDTH = 400  # narrow, so that texts stay readable on a phone
LETTER = 6.7  # mean width of a character
MARGIN = 16
TITLE = 28  # height of the title in a file
ROW, BAR = 28, 16
COLUMNS_HEIGHT = 170
NAME_LENGTH = 22  # characters of a name

STYLE = Path(__file__).with_name("chart.css").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Series:
    name: str
    values: Sequence[float]


@dataclass(frozen=True)
class Estimate:
    name: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Chart:
    """A drawing with its text alternative. `name` is unique in a page."""

    name: str
    title: str
    summary: str
    height: float
    shapes: Sequence[str]

    def inline(self) -> str:
        """Return an element for a page that has the style sheet and shows the title."""
        return self._element("", self.height, self.shapes)

    def file(self) -> bytes:
        """Return a document of its own, with its title. It has a ground: nobody knows the color behind an image."""
        height = self.height + TITLE
        ground = f'<rect class="ground" width="{WIDTH}" height="{_number(height)}" rx="10"/>'
        title = f'<text class="title" x="{MARGIN}" y="{TITLE - 4}">{escape(self.title)}</text>'
        parts = [
            f"<style>{STYLE}</style>",
            ground,
            title,
            f'<g transform="translate(0 {TITLE})">',
            *self.shapes,
            "</g>",
        ]
        size = f' xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{_number(height)}"'
        return (self._element(size, height, parts) + "\n").encode()

    def _element(self, attributes: str, height: float, parts: Sequence[str]) -> str:
        title, summary = f"{self.name}-title", f"{self.name}-summary"
        return "\n".join(
            [
                f'<svg{attributes} class="chart" viewBox="0 0 {WIDTH} {_number(height)}" role="img" '
                f'aria-labelledby="{title} {summary}">',
                f'<title id="{title}">{escape(self.title)}</title>',
                f'<desc id="{summary}">{escape(self.summary)}</desc>',
                *parts,
                "</svg>",
            ]
        )


def bars(name: str, title: str, rows: Sequence[tuple[str, float]], unit: str) -> Chart:
    """Draw a horizontal bar for each row, with its value."""
    longest = max((value for _, value in rows), default=0) or 1
    left = _room_for(label for label, _ in rows)
    room = WIDTH - left - MARGIN - 48
    shapes = []
    for number, (label, value) in enumerate(rows):
        y = MARGIN + number * ROW
        width = max(1.0 if value else 0.0, value / longest * room)
        shapes += [
            _text(left - 8, y + BAR - 3.5, _short(label), "end"),
            _rect(left, y, width, BAR, "a", f"{label}: {grouped(value)} {unit}".rstrip()),
            _text(left + width + 8, y + BAR - 3.5, grouped(value), kind="soft"),
        ]
    summary = "; ".join(f"{label} {grouped(value)}" for label, value in rows) + (f" ({unit})." if unit else ".")
    return Chart(name, title, summary, MARGIN + len(rows) * ROW + MARGIN / 2, shapes)


def histogram(name: str, title: str, bins: Sequence[str], series: Sequence[Series], axis: str) -> Chart:
    """Draw columns of percentages, side by side for up to three series. `bins` name their lower limits."""
    left, bottom = 54, MARGIN + (24 if len(series) > 1 else 0) + COLUMNS_HEIGHT
    highest = _nice(max(max(one.values, default=0) for one in series))
    shapes = []
    for part in range(5):
        y = bottom - part / 4 * COLUMNS_HEIGHT
        shapes.append(_line(left, y, WIDTH - MARGIN, y, "axis" if part == 0 else "grid"))
        shapes.append(_text(left - 8, y + 4, f"{highest * part / 4:g} %", "end", "soft"))
    step = (WIDTH - MARGIN - left) / len(bins)
    width = step * 0.8 / len(series)
    for place, label in enumerate(bins):
        for number, one in enumerate(series):
            height = one.values[place] / highest * COLUMNS_HEIGHT
            x = left + place * step + step * 0.1 + number * width
            tip = f"{one.name}, {label}: {one.values[place]:.1f} %"
            shapes.append(_rect(x, bottom - height, width - 1, height, "abc"[number], tip))
        shapes.append(_text(left + (place + 0.5) * step, bottom + 18, label, "middle", "soft"))
    shapes.append(_text((left + WIDTH - MARGIN) / 2, bottom + 40, axis, "middle", "soft"))
    shapes += _legend(series, left)
    summary = " ".join(_in_words(one, bins) for one in series)
    return Chart(name, title, summary, bottom + 54, shapes)


def intervals(name: str, title: str, rows: Sequence[Estimate], axis: str) -> Chart:
    """Draw a point with its interval for each row, on a scale that includes 0 and 1."""
    lowest = min([0.0, *(row.value if row.low is None else row.low for row in rows)])
    start = floor(lowest * 5) / 5
    left = _room_for(row.name for row in rows)
    room = WIDTH - left - MARGIN - 48
    top = MARGIN / 2
    bottom = top + len(rows) * ROW

    def x(value: float) -> float:
        return left + (value - start) / (1 - start) * room

    shapes = []
    for part in range(round((1 - start) * 5) + 1):
        value = start + part / 5
        shapes.append(_line(x(value), top, x(value), bottom, "axis" if abs(value) < 1e-9 else "grid"))
        shapes.append(_text(x(value), bottom + 18, decimals(value, 1), "middle", "soft"))
    for number, row in enumerate(rows):
        y = top + (number + 0.5) * ROW
        shapes.append(_text(left - 10, y + 4, _short(row.name), "end"))
        if row.low is not None and row.high is not None:
            shapes.append(_line(x(row.low), y, x(row.high), y, "range"))
        shapes.append(f'<circle class="a" cx="{_number(x(row.value))}" cy="{_number(y)}" r="6"/>')
        shapes.append(_text(WIDTH - MARGIN, y + 4, decimals(row.value), "end", "soft"))
    shapes.append(_text(left + room / 2, bottom + 40, axis, "middle", "soft"))
    summary = "; ".join(f"{row.name} {_with_interval(row)}" for row in rows) + "."
    return Chart(name, title, summary, bottom + 54, shapes)


def grouped(value: float) -> str:
    """Return a number for people: 12,345 or 0.25."""
    return f"{value:,}" if isinstance(value, int) else decimals(value)


def decimals(value: float, places: int = 2) -> str:
    """Return a number with so many decimals, and zero without a sign."""
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _room_for(names: Iterable[str]) -> float:
    return MARGIN + LETTER * max((len(_short(name)) for name in names), default=0)


def _with_interval(row: Estimate) -> str:
    if row.low is None or row.high is None:
        return decimals(row.value)
    return f"{decimals(row.value)} ({decimals(row.low)} to {decimals(row.high)})"


def _in_words(series: Series, bins: Sequence[str]) -> str:
    parts = (f"{label} {value:.0f} %" for label, value in zip(bins, series.values, strict=True) if value >= 0.5)
    return f"{series.name}: {', '.join(parts)}."


def _legend(series: Sequence[Series], left: float) -> list[str]:
    if len(series) < 2:
        return []
    shapes, x = [], left
    for number, one in enumerate(series):
        shapes.append(_rect(x, MARGIN - 8, 12, 12, "abc"[number], one.name))
        shapes.append(_text(x + 18, MARGIN + 3, one.name))
        x += 50 + 8 * len(one.name)
    return shapes


def _nice(value: float) -> float:
    """Return the end of an axis: 1, 2, 4 or 10 times a power of ten, at least the value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next(factor * power for factor in (1, 2, 4, 6, 8, 10) if factor * power >= value * (1 - 1e-9))


def _rect(x: float, y: float, width: float, height: float, kind: str, tip: str) -> str:
    place = f'x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}"'
    return f'<rect class="{kind}" {place} rx="2"><title>{escape(tip)}</title></rect>'


def _line(x: float, y: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{_number(x)}" y1="{_number(y)}" x2="{_number(x2)}" y2="{_number(y2)}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    look = f' class="{kind}"' if kind else ""
    return f'<text{look} x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float) -> str:
    """Return a length with one decimal at most, so that rounding differs on no machine."""
    return f"{value:.1f}".removesuffix(".0")


def _short(text: str) -> str:
    return text if len(text) <= NAME_LENGTH else f"{text[: NAME_LENGTH - 1].rstrip()}…"
