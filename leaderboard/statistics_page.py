"""The sections of the statistics page: their table, chart and text."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from io import StringIO
from typing import Any

from django.utils.formats import date_format, number_format
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_noop, ngettext
from django.utils.translation import gettext_lazy as _

from leaderboard import cached_statistics, charts
from leaderboard.site_statistics import ALL_LANGUAGES
from oasst.core.errors import NotFound
from oasst.core.text.languages import name_of
from trees.labels import LABELS
from trees.lifecycle.states import TABLE, State


@dataclass(frozen=True)
class Section:
    name: str
    title: str | Promise
    chart: str
    text: str | Promise
    by_language: bool = False  # rows start with a language tag
    by_week: bool = False  # rows are weeks, oldest first
    by_name: bool = False  # rows start with a name of ours
    drawn: int | None = None  # number of columns in the chart; None: all
    part_of: str = ""  # a statistic with several tables, of which this is one

    @property
    def statistic(self) -> str:
        return self.part_of or self.name

    def table(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return columns and rows from the data of the statistic."""
        table: dict[str, Any] = data[self.name] if self.part_of else data
        return table


GROWTH = Section("growth", _("Growth"), "growth", _("Accepted messages that people wrote, in all."), by_week=True)
SECTIONS = (
    Section("messages", _("Messages"), "bars", _("Accepted messages that people wrote, by language and role."), True),
    Section("trees", _("Conversations"), "bars", _("Where the conversations of each language stand."), True),
    Section(
        "topics",
        _("Topics"),
        "bars",
        _(
            "What prompts are about, found by a machine that groups similar ones. The words are those that tell a "
            "topic from the others."
        ),
    ),
    Section(
        "flow",
        _("Through the states"),
        "columns",
        _("How many conversations entered each state, week by week."),
        by_week=True,
    ),
    Section(
        "waiting",
        _("Waiting"),
        "bars",
        _(
            "How long conversations stayed in a state before they left it, and how many are there now. The bars are "
            "the hours within which half of them left."
        ),
        by_name=True,
        drawn=2,
    ),
    Section(
        "acceptance",
        _("Acceptance"),
        "columns",
        _("What reviewers decided, by the week in which texts were written."),
        by_week=True,
    ),
    Section(
        "agreement_by_label",
        _("Agreement of reviewers"),
        "intervals",
        _(
            "Krippendorff's alpha for each question about texts that were reviewed in the last twelve weeks: 1 is "
            "full agreement, 0 is chance. Yes and no are compared as such, scales by distance. The line beside a "
            "point is its 95 % interval. Questions to which all gave the same answer have no alpha."
        ),
        by_name=True,
        drawn=4,
        part_of="agreement",
    ),
    Section(
        "agreement_by_language",
        _("Agreement by language"),
        "heat",
        _("Krippendorff's alpha of each question, language by language. The darker green, the more people agree."),
        by_language=True,
        part_of="agreement",
    ),
    Section(
        "agreement_by_week",
        _("Agreement by week"),
        "heat",
        _("Krippendorff's alpha of each question, by the week in which a text was first reviewed."),
        by_week=True,
        part_of="agreement",
    ),
    Section(
        "ranking_agreement",
        _("Agreement of rankings"),
        "intervals",
        _(
            "How far two people who ranked the same replies agree which of two is better, in the last twelve weeks: 1 "
            "is always, 0 is chance, which is half of the pairs. The line beside a point is its 95 % interval. "
            "Kendall's W compares whole orders, and is 1 if all are equal; what chance gives depends on the number of "
            "people."
        ),
        by_language=True,
        drawn=4,
    ),
    Section("skips", _("Skipped work"), "bars", _("Why people passed on what they were offered."), by_name=True),
    Section(
        "contributors",
        _("Contributors"),
        "columns",
        _("People who wrote, reviewed or ranked in each week."),
        by_week=True,
        drawn=2,
    ),
)
BY_NAME = {section.name: section for section in (GROWTH, *SECTIONS)}


@dataclass(frozen=True)
class Figure:
    """One of the numbers at the top of the page."""

    number: str
    label: str


@dataclass(frozen=True)
class RenderedSection:
    section: Section
    columns: list[str]
    rows: list[list[Any]]
    chart: charts.Chart | None


@dataclass(frozen=True)
class Page:
    figures: list[Figure]
    growth: RenderedSection | None
    growth_in_words: str
    sections: list[RenderedSection]
    updated_at: datetime | None  # the oldest of its statistics


def page() -> Page:
    """Return what was computed of the page. One statement at most."""
    statistics = {row.name: row for row in cached_statistics.read_all(cached_statistics.PAGE_STATISTICS)}
    data = {name: statistic.data for name, statistic in statistics.items()}
    growth = data.get(GROWTH.name)
    return Page(
        _figures(data),
        _render(GROWTH, growth) if growth else None,
        _growth_in_words(growth["rows"]) if growth else "",
        [_render(one, one.table(data[one.statistic])) for one in SECTIONS if one.statistic in data],
        min((statistic.updated_at for statistic in statistics.values()), default=None),
    )


def _figures(data: Mapping[str, Any]) -> list[Figure]:
    """Return the four figures whose statistics were computed."""
    figures = []
    if messages := data.get("messages"):
        number = sum(sum(row[1:]) for row in messages["rows"])
        figures.append(Figure(_number(number), ngettext("accepted message", "accepted messages", number)))
    if trees := data.get("trees"):
        finished = TABLE[State.READY_FOR_EXPORT].label
        column = trees["columns"].index(finished) if finished in trees["columns"] else None
        number = sum(row[column] for row in trees["rows"]) if column else 0
        figures.append(Figure(_number(number), ngettext("finished conversation", "finished conversations", number)))
    if messages:
        number = len(messages["rows"])
        figures.append(Figure(_number(number), ngettext("language", "languages", number)))
    if people := data.get("people"):
        number = people["count"]
        figures.append(Figure(_number(number), ngettext("contributor", "contributors", number)))
    return figures


def _growth_in_words(rows: list[list[Any]]) -> str:
    """Say what the chart of growth shows, for those who do not see it."""
    rows = _from_first_number(rows, before=1) or rows[-1:]
    first, last = sum(rows[0][1:]), sum(rows[-1][1:])
    return gettext("%(first)s accepted messages by the week of %(begin)s, %(last)s now.") % {
        "first": _number(first),
        "begin": _week(rows[0][0]),
        "last": _number(last),
    }


def _number(number: int) -> str:
    return str(number_format(number, use_l10n=True, force_grouping=True))


def _week(iso: str, style: str = "DATE_FORMAT") -> str:
    return date_format(date.fromisoformat(iso), style)


def _language(tag: str) -> str:
    return gettext("All languages") if tag == ALL_LANGUAGES else name_of(tag)


_LABELS = {"spam": _("Junk"), "fails_task": _("Misses the point"), "lang_mismatch": _("Another language")}
"""Short names of the labels whose question is long."""
_COLUMNS = (
    *(gettext_noop("Language"), gettext_noop("User"), gettext_noop("Assistant"), gettext_noop("Topic")),
    *(gettext_noop("Prompts"), gettext_noop("Week of"), gettext_noop("State"), gettext_noop("In it now")),
    *(gettext_noop("Half left within, hours"), gettext_noop("Nine of ten within, hours"), gettext_noop("Label")),
    *(gettext_noop("Alpha"), gettext_noop("From"), gettext_noop("To"), gettext_noop("Texts compared")),
    *(gettext_noop("Agreement"), gettext_noop("Pairs in the same order"), gettext_noop("Kendall's W")),
    *(gettext_noop("W, from"), gettext_noop("W, to"), gettext_noop("W beyond chance")),
    *(gettext_noop("Messages compared"), gettext_noop("Reason"), gettext_noop("No reason given")),
    *(gettext_noop("Accepted"), gettext_noop("Not accepted"), gettext_noop("In review")),
    *(gettext_noop("People"), gettext_noop("Wrote"), gettext_noop("Reviewed"), gettext_noop("Ranked")),
)
"""Statistics are stored and downloaded in English; pages translate these names."""


def _words(name: str) -> str:
    """Return a name of ours in words: a column, a state, a reason, or a label."""
    label = name.replace(" ", "_")
    if label in LABELS:
        return str(_LABELS.get(label, LABELS[label].question))
    return gettext(name) if name else ""


def _from_first_number(rows: list[list[Any]], *, before: int) -> list[list[Any]]:
    """Return the weeks from the first with any numbers on, and so many before it."""
    first = next((number for number, row in enumerate(rows) if any(row[1:])), len(rows))
    return rows[max(0, first - before) :]


def _render(section: Section, data: dict[str, Any]) -> RenderedSection:
    columns, rows = [_words(column) for column in data["columns"]], data["rows"]
    if section.by_language:
        rows = [[_language(tag), *values] for tag, *values in rows]
    if section.by_name:
        rows = [[_words(name), *values] for name, *values in rows]
    drawn, drawn_rows = section.drawn, rows
    if section.by_week:
        rows = _from_first_number(rows, before=1 if section is GROWTH else 0)
        drawn_rows = [[_week(week, "MONTH_DAY_FORMAT"), *values] for week, *values in rows]
        rows = [[_week(week), *values] for week, *values in reversed(rows)]
    chart = charts.draw(section.chart, columns[:drawn], [row[:drawn] for row in drawn_rows])
    return RenderedSection(section, columns, rows, chart)


def as_csv(name: str) -> str:
    """Return the table of one section as CSV. Raise NotFound for unknown names."""
    if name not in BY_NAME:
        raise NotFound(gettext("There is no such table."), code="statistic_not_found")
    section, out = BY_NAME[name], StringIO()
    table = section.table(cached_statistics.read(section.statistic).data)
    writer = csv.writer(out)
    writer.writerow(table["columns"])
    writer.writerows(table["rows"])
    return out.getvalue()
