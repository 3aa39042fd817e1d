"""How the queues fared day by day: how much came, how much was settled, how much waited at the end.

A job counts today and what is missing, since counting all of it for a page would read whole tables. Days are those of
UTC. Counting again changes nothing that has not changed.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db import transaction
from django.db.models import CharField, Count, F, Value
from django.db.models.functions import Cast, TruncDate
from django.utils import timezone

from oasst.core.locks import advisory_lock
from oasst.site.models import QueueDay
from oasst.site.overview.queues import QUEUES, Queue, read_waiting

DAYS = 28
CACHED = 300  # seconds
KEY = "site.overview.days"
Key = tuple[str, str]
"""The name of a queue and a language."""


@dataclass
class Numbers:
    came: int = 0
    settled: int = 0
    waiting: int = 0


def count_days() -> int:
    """Count today, yesterday and those of the last DAYS that are missing; return how many rows changed or are new."""
    with transaction.atomic(durable=True):
        advisory_lock("queue days")
        today = timezone.now().astimezone(UTC).date()
        first = today - timedelta(days=DAYS - 1)
        known = QueueDay.objects.filter(day__gte=first)
        days = _days_to_count(first, today, set(known.values_list("day", flat=True)))
        counted = _count(first, today)
        old = {(row.day, row.queue, row.lang): row for row in known.filter(day__in=days)}
        rows = [
            QueueDay(day=day, queue=queue, lang=lang, **vars(numbers))
            for day in days
            for (queue, lang), numbers in counted[day].items()
            if any(vars(numbers).values()) or (day, queue, lang) in old
        ]
        changed = [row for row in rows if _numbers(row) != _numbers(old.get((row.day, row.queue, row.lang)))]
        QueueDay.objects.bulk_create(
            changed,
            update_conflicts=True,
            unique_fields=["day", "queue", "lang"],
            update_fields=["came", "settled", "waiting", "counted_at"],
        )
    cache.delete(KEY)
    return len(changed)


def forget_days() -> int:
    """Delete days of more than a year ago; return how many rows."""
    return QueueDay.objects.filter(day__lt=timezone.now().date() - timedelta(days=366)).delete()[0]


def _days_to_count(first: date, today: date, known: set[date]) -> list[date]:
    days = [first + timedelta(days=number) for number in range(DAYS)]
    return [day for day in days if day not in known or day >= today - timedelta(days=1)]


def _numbers(row: QueueDay | None) -> tuple[int, ...]:
    return (row.came, row.settled, row.waiting) if row else (0, 0, 0)


def _count(first: date, today: date) -> dict[date, dict[Key, Numbers]]:
    """Return the numbers of all days. What waited is counted back from now: what came since was not there then."""
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    waiting = {
        (name, lang): number
        for name, found in read_waiting(to_the_end=True).items()
        for lang, number in found.by_language.items()
    }
    found: dict[date, dict[Key, Numbers]] = defaultdict(lambda: defaultdict(Numbers))
    for queue in QUEUES:
        for day, key, number in _by_day(queue, queue.since, start):
            found[day][key].came = number
        for day, key, number in _by_day(queue, queue.settled, start) if queue.settled else ():
            found[day][key].settled = number
    keys = {*waiting, *(key for numbers in found.values() for key in numbers)}
    for number in range(DAYS):
        day = today - timedelta(days=number)
        for key in keys:
            now = found[day][key]
            now.waiting = max(0, waiting.get(key, 0))
            waiting[key] = now.waiting - now.came + now.settled
    return found


def _by_day(queue: Queue, column: str, start: datetime) -> Iterable[tuple[date, Key, int]]:
    rows = queue.came().filter(**{f"{column}__gte": start}).order_by()
    named = rows.values_list(
        TruncDate(column, tzinfo=UTC), Cast(F(queue.lang) if queue.lang else Value(""), CharField())
    )
    for day, lang, number in named.annotate(number=Count("pk")):
        yield day, (queue.name, lang), number


# --- Reading ---


@dataclass
class History:
    """The last DAYS, the oldest first."""

    days: list[date] = field(default_factory=list)
    by_queue: dict[str, list[Numbers]] = field(default_factory=dict)
    total: list[Numbers] = field(default_factory=list)
    week_by_language: dict[str, Numbers] = field(default_factory=dict)

    def week(self, queue: str) -> list[Numbers]:
        return self.by_queue[queue][-7:]


def read_history() -> History:
    """Return the last DAYS as the job counted them. One statement, none while the cache holds them."""
    today = timezone.now().astimezone(UTC).date()
    rows = cache.get(KEY)
    if rows is None:
        found = QueueDay.objects.filter(day__gte=today - timedelta(days=DAYS - 1))
        columns = found.values_list("day", "queue", "lang", "came", "settled", "waiting")
        rows = [[day.isoformat(), *rest] for day, *rest in columns]
        cache.set(KEY, rows, CACHED)
    return _history(today, rows)


def _history(today: date, rows: Iterable[Any]) -> History:
    days = [today - timedelta(days=DAYS - 1 - number) for number in range(DAYS)]
    place: Mapping[str, int] = {day.isoformat(): number for number, day in enumerate(days)}
    history = History(
        days,
        {queue.name: [Numbers() for _ in days] for queue in QUEUES},
        [Numbers() for _ in days],
    )
    for day, queue, lang, came, settled, waiting in rows:
        if day not in place or queue not in history.by_queue:
            continue
        for numbers in (history.by_queue[queue][place[day]], history.total[place[day]]):
            numbers.came += came
            numbers.settled += settled
            numbers.waiting += waiting
        if place[day] >= DAYS - 7:
            of_language = history.week_by_language.setdefault(lang, Numbers())
            of_language.came += came
            of_language.settled += settled
    return history
