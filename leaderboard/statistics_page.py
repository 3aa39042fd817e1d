"""The sections of the statistics page: their table, chart and text."""

import csv
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from typing import Any

from leaderboard import cached_statistics, charts
from oasst.core.errors import NotFound
from oasst.core.text.languages import name_of


@dataclass(frozen=True)
class Section:
    name: str
    title: str
    chart: str
    text: str
    by_language: bool = False  # rows start with a language tag
    by_week: bool = False  # rows are weeks, oldest first
    drawn: int | None = None  # number of columns in the chart; None: all


SECTIONS = (
    Section("messages", "Messages", "bars", "Accepted messages that people wrote, by language and role.", True),
    Section("trees", "Conversations", "bars", "Where the conversations of each language stand.", True),
    Section(
        "flow",
        "Through the states",
        "columns",
        "How many conversations entered each state, week by week.",
        by_week=True,
    ),
    Section(
        "waiting",
        "Waiting",
        "bars",
        "How long conversations stayed in a state before they left it, and how many are there now. "
        "The bars are the hours within which half of them left.",
        drawn=2,
    ),
    Section(
        "acceptance",
        "Acceptance",
        "columns",
        "What reviewers decided, by the week in which texts were written.",
        by_week=True,
    ),
    Section(
        "agreement_by_label",
        "Agreement of reviewers",
        "bars",
        "Krippendorff's alpha for each question: 1 is full agreement, 0 is chance. "
        "Yes and no are compared as such, scales by distance.",
        drawn=2,
    ),
    Section("agreement_by_language", "Agreement by language", "heat", "The same for each language.", True),
    Section("agreement_by_week", "Agreement by week", "heat", "The same for each week.", by_week=True),
    Section("skips", "Skipped work", "bars", "Why people passed on what they were offered."),
    Section(
        "contributors",
        "Contributors",
        "columns",
        "People who wrote, reviewed or ranked in each week.",
        by_week=True,
        drawn=2,
    ),
)
BY_NAME = {section.name: section for section in SECTIONS}


@dataclass(frozen=True)
class RenderedSection:
    section: Section
    columns: list[str]
    rows: list[list[Any]]
    chart: charts.Chart | None


@dataclass(frozen=True)
class Page:
    sections: list[RenderedSection]
    updated_at: datetime | None  # the oldest of its statistics


def page() -> Page:
    """Return the sections whose statistics were computed. One statement at most."""
    statistics = {row.name: row for row in cached_statistics.read_all(cached_statistics.PAGE_STATISTICS)}
    return Page(
        [_render(section, statistics[section.name].data) for section in SECTIONS if section.name in statistics],
        min((statistic.updated_at for statistic in statistics.values()), default=None),
    )


def _render(section: Section, data: dict[str, Any]) -> RenderedSection:
    columns, rows = data["columns"], data["rows"]
    if section.by_language:
        rows = [[name_of(tag), *values] for tag, *values in rows]
    if section.by_week:
        # From the first week with any numbers on.
        first = next((number for number, row in enumerate(rows) if any(row[1:])), len(rows))
        rows = rows[first:]
    drawn = section.drawn
    chart = charts.draw(section.chart, columns[:drawn], [row[:drawn] for row in rows])
    newest_first = rows[::-1] if section.by_week else rows
    return RenderedSection(section, columns, newest_first, chart)


def as_csv(name: str) -> str:
    """Return the table of one section as CSV. Raise NotFound for unknown names."""
    if name not in BY_NAME:
        raise NotFound("There is no such table.", code="statistic_not_found")
    data, out = cached_statistics.read(name).data, StringIO()
    writer = csv.writer(out)
    writer.writerow(data["columns"])
    writer.writerows(data["rows"])
    return out.getvalue()
