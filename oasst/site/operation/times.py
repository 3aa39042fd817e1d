"""When a job of the clock runs: in words, in the reader's time zone, its next run, and whether one was missed."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any

from celery.schedules import crontab
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

MINUTES = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
"""The divisors of an hour: any other number would leave a shorter gap at each full hour."""
PATIENCE = timedelta(minutes=5)
"""How long a job may take besides, before it counts as missed."""
_DAYS_COMPARED = 9 * 366
"""Two days of February 29 are among them."""
_DAY = 24 * 60  # minutes
_MOST_LETTERS = (240, 96, 124, 64, 64)
"""Of the parts of cron, as the columns of beat have them."""


class Pattern(StrEnum):
    """How people say when something is repeated."""

    MINUTES = "minutes"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    CRON = "cron"


@dataclass(frozen=True)
class Times:
    """The same as five parts of cron; which fields count depends on the pattern."""

    pattern: Pattern
    minutes: int = 10
    minute: int = 0
    at: time = time(3, 20)
    weekday: int = 1
    """As cron counts: 0 is Sunday."""
    cron: str = "*/10 * * * *"


def read(schedule: crontab) -> Times:
    """Return the pattern of a schedule, CRON if it is none of the simple ones."""
    minute, hour, *days = parts_of(schedule)
    cron = " ".join(parts_of(schedule))
    step = "1" if minute == "*" else minute.removeprefix("*/")
    if hour == "*" and days == ["*"] * 3:
        if (minute == "*" or minute.startswith("*/")) and step.isdecimal() and int(step) in MINUTES:
            return Times(Pattern.MINUTES, minutes=int(step), cron=cron)
        if minute.isdecimal():
            return Times(Pattern.HOURLY, minute=int(minute), cron=cron)
    elif minute.isdecimal() and hour.isdecimal() and days[:2] == ["*", "*"]:
        at = time(int(hour), int(minute))
        if days[2] == "*":
            return Times(Pattern.DAILY, at=at, cron=cron)
        if days[2].isdecimal():
            return Times(Pattern.WEEKLY, at=at, weekday=int(days[2]) % 7, cron=cron)
    return Times(Pattern.CRON, cron=cron)


def write(times: Times) -> crontab:
    """Return the schedule. Raise ValueError for parts of cron that are none."""
    match times.pattern:
        case Pattern.MINUTES:
            return crontab(minute="*" if times.minutes == 1 else f"*/{times.minutes}")
        case Pattern.HOURLY:
            return crontab(minute=str(times.minute))
        case Pattern.DAILY:
            return crontab(minute=str(times.at.minute), hour=str(times.at.hour))
        case Pattern.WEEKLY:
            return crontab(minute=str(times.at.minute), hour=str(times.at.hour), day_of_week=str(times.weekday))
        case Pattern.CRON:
            parts = minute, hour, day, month, weekday = times.cron.split()
            if any(len(part) > most for part, most in zip(parts, _MOST_LETTERS, strict=True)):
                raise ValueError("A part is too long.")
            return crontab(minute, hour, day_of_month=day, month_of_year=month, day_of_week=weekday)


def parts_of(schedule: Any) -> tuple[str, ...]:
    """Return the five parts of cron; none without a schedule."""
    if schedule is None:
        return ()
    names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    return tuple(str(getattr(schedule, f"_orig_{name}")) for name in names)


def in_words(schedule: crontab, now: datetime | None = None) -> str:
    """Return when it runs, such as "daily at 03:20 UTC (04:20 your time)"."""
    times = read(schedule)
    match times.pattern:
        case Pattern.MINUTES:
            words = ngettext("every minute", "every %(number)d minutes", times.minutes)
            return words % {"number": times.minutes}
        case Pattern.HOURLY:
            return _("hourly at minute %(minute)d") % {"minute": times.minute}
        case Pattern.DAILY:
            words = _("daily at %(time)s %(zone)s")
        case Pattern.WEEKLY:
            words = _("weekly on %(day)s at %(time)s %(zone)s")
        case Pattern.CRON:
            return _("at the times of cron %(cron)s, in %(zone)s") % {"cron": times.cron, "zone": schedule.tz}
    day = WEEKDAYS[(times.weekday - 1) % 7]
    said = words % {"time": f"{times.at:%H:%M}", "zone": schedule.tz, "day": day}
    return f"{said}{_for_reader(schedule, times, now or timezone.now())}"


def _for_reader(schedule: crontab, times: Times, now: datetime) -> str:
    """Return the time in the reader's zone in brackets; empty if it is the same there."""
    run = next_run(schedule, now)
    here = timezone.localtime(run)
    if here.utcoffset() == run.utcoffset():
        return ""
    is_other_day = times.pattern == Pattern.WEEKLY and here.date() != run.date()
    words = _(" (%(day)s %(time)s your time)") if is_other_day else _(" (%(time)s your time)")
    return words % {"time": f"{here:%H:%M}", "day": WEEKDAYS[here.weekday()]}


def next_run(schedule: crontab, after: datetime) -> datetime:
    """Return the first run after this moment, in the zone of the schedule."""
    start, step, _now = schedule.remaining_delta(after)
    run: datetime = start + step
    return run


def longest_gap(schedule: crontab, now: datetime) -> timedelta:
    """Return the longest time between two runs, one after the other, in the next years."""
    fields: Any = schedule  # which the types of Celery do not name
    minutes = sorted(60 * hour + minute for hour in fields.hour for minute in fields.minute)
    within_day = max((later - earlier for earlier, later in pairwise(minutes)), default=0)
    start = now.date()
    days = [day for day in range(_DAYS_COMPARED) if _runs_on(fields, start + timedelta(day))]
    between_days = max((later - earlier for earlier, later in pairwise(days)), default=_DAYS_COMPARED)
    return timedelta(minutes=max(within_day, between_days * _DAY + minutes[0] - minutes[-1]))


def _runs_on(schedule: Any, day: date) -> bool:
    is_day = day.day in schedule.day_of_month and day.month in schedule.month_of_year
    return is_day and day.isoweekday() % 7 in schedule.day_of_week


def is_overdue(schedule: crontab, last: datetime, now: datetime) -> bool:
    """Return True if the run after the last one did not end within another period: beat or the workers stand still."""
    return now > next_run(schedule, next_run(schedule, last)) + PATIENCE
