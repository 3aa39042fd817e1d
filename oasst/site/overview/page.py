"""What the start page of the admin shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from leaderboard import charts
from oasst.accounts.models import User
from oasst.core.text.languages import name_of
from oasst.site.desk import undoing
from oasst.site.desk.decisions import in_words
from oasst.site.desk.titles import titles_of
from oasst.site.models import BulkAct
from oasst.site.overview import history, needs
from oasst.site.overview.history import History, Numbers
from oasst.site.overview.queues import PASSED_ON, QUEUES, Waiting, read_waiting
from trees.lifecycle.states import TABLE, State
from trees.moderation.badges import TONES
from trees.moderation.queries import count_trees

SPARK = (84, 24)  # width and height of a sparkline, in the units of its view box


@dataclass(frozen=True)
class Card:
    """One queue on the page."""

    name: str
    words: str
    about: str
    url: str
    number: int
    is_more: bool
    """More than `number` waits."""
    oldest: datetime | None
    came: int
    settled: int
    came_line: str
    """The points of a line: what came each day of the week."""
    settled_line: str


def overview(user: User) -> dict[str, Any]:
    """Return the template context of the start page for this moderator. Nine statements at most."""
    waiting, past = read_waiting(), history.read_history()
    states, halted = count_trees()
    decisions = undoing.latest_decisions(user)
    titles = titles_of([one for one, _may_undo in decisions])
    return {
        "cards": [_card(queue, waiting[queue.name], past.week(queue.name)) for queue in QUEUES],
        "halted": halted,
        "needs": needs.find_needs(user, states, waiting[PASSED_ON].number),
        "flow_chart": _flow_chart(past),
        "backlog_chart": _backlog_chart(past),
        "days": list(reversed(list(zip(past.days, past.total, strict=True)))) if any(_all(past.total)) else [],
        "languages": _languages(waiting, past),
        "decisions": [(one, in_words(one), titles[one.pk], may_undo) for one, may_undo in decisions],
        "bulk_acts": _bulk_acts(user),
        "states": _states(states),
        "has_trees": bool(states),
    }


def _card(queue: Any, waiting: Waiting, week: Sequence[Numbers]) -> Card:
    came, settled = [day.came for day in week], [day.settled for day in week]
    highest = max(*came, *settled, 1)
    return Card(
        name=queue.name,
        words=str(queue.words % {"number": waiting.number}),
        about=str(queue.about),
        url=queue.url,
        number=waiting.number,
        is_more=waiting.is_more,
        oldest=waiting.oldest,
        came=sum(came),
        settled=sum(settled),
        came_line=_line(came, highest),
        settled_line=_line(settled, highest),
    )


def _line(values: Sequence[int], highest: int) -> str:
    width, height = SPARK
    step = (width - 4) / (len(values) - 1)
    return " ".join(
        f"{2 + number * step:g},{round(height - 2 - value * (height - 4) / highest, 1):g}"
        for number, value in enumerate(values)
    )


def _flow_chart(past: History) -> charts.Chart | None:
    rows = [(_day(day), numbers.came, numbers.settled) for day, numbers in zip(past.days, past.total, strict=True)]
    return charts.draw("pairs", ["", _("Came"), _("Settled")], rows)


def _backlog_chart(past: History) -> charts.Chart | None:
    shown = [queue for queue in QUEUES if any(day.waiting for day in past.by_queue[queue.name])]
    names = [str(queue.words % {"number": 2}) for queue in shown]
    rows = [
        (_day(day), *(past.by_queue[queue.name][number].waiting for queue in shown))
        for number, day in enumerate(past.days)
    ]
    return charts.draw("growth", ["", *names], rows)


def _day(day: Any) -> str:
    return date_format(day, "MONTH_DAY_FORMAT")


def _all(days: Sequence[Numbers]) -> list[int]:
    return [number for day in days for number in vars(day).values()]


def _languages(waiting: dict[str, Waiting], past: History) -> list[dict[str, Any]]:
    """Return a row for each language in which something waits, came or was settled this week, the fullest first."""
    totals, unsure = dict[str, int](), set[str]()
    for name, found in waiting.items():
        for lang, number in found.by_language.items():
            if lang and name != PASSED_ON:
                totals[lang] = totals.get(lang, 0) + number
        if found.is_more:
            unsure |= found.by_language.keys()
    rows = [
        {
            "name": name_of(lang),
            "waiting": totals.get(lang, 0),
            "is_more": lang in unsure,
            "week": past.week_by_language.get(lang, Numbers()),
        }
        for lang in {*totals, *past.week_by_language}
        if lang
    ]
    return sorted(rows, key=lambda row: (-row["waiting"], row["name"]))


def _bulk_acts(user: User) -> list[BulkAct]:
    """Return this moderator's acts on many that are not over."""
    unfinished = Q(stage__in=[BulkAct.Stage.RUNNING, BulkAct.Stage.STOPPED, BulkAct.Stage.UNDOING])
    return list(BulkAct.objects.filter(unfinished, moderator=user).order_by("-id")[:5])


def _states(numbers: dict[State, int]) -> list[dict[str, Any]]:
    trees = reverse("admin:trees_messagetree_changelist")
    return [
        {
            "label": row.label,
            "meaning": row.meaning,
            "tone": TONES[state],
            "count": numbers.get(state, 0),
            "url": f"{trees}?state={state}",
        }
        for state, row in TABLE.items()
    ]
