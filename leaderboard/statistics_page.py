"""The sections of the statistics page: their table, chart and text."""

import csv
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from typing import Any

from leaderboard import cached_statistics, charts
from leaderboard.site_statistics import ALL_LANGUAGES
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
    part_of: str = ""  # a statistic with several tables, of which this is one

    @property
    def statistic(self) -> str:
        return self.part_of or self.name

    def table(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return columns and rows from the data of the statistic."""
        table: dict[str, Any] = data[self.name] if self.part_of else data
        return table


SECTIONS = (
    Section("messages", "Messages", "bars", "Accepted messages that people wrote, by language and role.", True),
    Section("trees", "Conversations", "bars", "Where the conversations of each language stand.", True),
    Section(
        "topics",
        "Topics",
        "bars",
        "What prompts are about, found by a machine that groups similar ones. The words are those that tell a topic "
        "from the others.",
    ),
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
        "intervals",
        "Krippendorff's alpha for each question about texts that were reviewed in the last twelve weeks: 1 is full "
        "agreement, 0 is chance. Yes and no are compared as such, scales by distance. The line beside a point is its "
        "95 % interval. Questions to which all gave the same answer have no alpha.",
        drawn=4,
        part_of="agreement",
    ),
    Section(
        "agreement_by_language",
        "Agreement by language",
        "heat",
        "The same for each language.",
        by_language=True,
        part_of="agreement",
    ),
    Section(
        "agreement_by_week",
        "Agreement by week",
        "heat",
        "The same by the week in which a text was first reviewed.",
        by_week=True,
        part_of="agreement",
    ),
    Section(
        "ranking_agreement",
        "Agreement of rankings",
        "intervals",
        "How far two people who ranked the same replies agree which of two is better, in the last twelve weeks: 1 is "
        "always, 0 is chance, which is half of the pairs. The line beside a point is its 95 % interval. Kendall's W "
        "compares whole orders, and is 1 if all are equal; what chance gives depends on the number of people.",
        by_language=True,
        drawn=4,
    ),
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
        [
            _render(section, section.table(statistics[section.statistic].data))
            for section in SECTIONS
            if section.statistic in statistics
        ],
        min((statistic.updated_at for statistic in statistics.values()), default=None),
    )


def _language(tag: str) -> str:
    return "All languages" if tag == ALL_LANGUAGES else name_of(tag)


def _render(section: Section, data: dict[str, Any]) -> RenderedSection:
    columns, rows = data["columns"], data["rows"]
    if section.by_language:
        rows = [[_language(tag), *values] for tag, *values in rows]
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
    section, out = BY_NAME[name], StringIO()
    table = section.table(cached_statistics.read(section.statistic).data)
    writer = csv.writer(out)
    writer.writerow(table["columns"])
    writer.writerows(table["rows"])
    return out.getvalue()
