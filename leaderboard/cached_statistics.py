"""Slow statistics: a periodic job computes them; pages and clients read them from Redis, or else from the table.

So no request waits for a computation. The age of each statistic is part of the answer.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.cache import cache
from django.db import connection, transaction
from django.utils import timezone

from leaderboard import site_statistics
from leaderboard.models import CachedStatistic
from oasst.core.errors import Invalid
from oasst.core.jobs import run_for_each
from oasst.core.locks import advisory_lock

CACHE_SECONDS = 24 * 3600  # seconds in Redis; the periodic job replaces them long before
TIMEOUT_SECONDS = 120  # seconds for one statistic, before it is given up until the next run

API_STATISTICS: dict[str, Callable[[], Any]] = {
    statistic.__name__: statistic
    for statistic in (
        site_statistics.human_messages_by_lang,
        site_statistics.human_messages_by_role,
        site_statistics.message_trees_by_state,
        site_statistics.message_trees_states_by_lang,
        site_statistics.users_accepted_tos,
    )
}
PAGE_STATISTICS: dict[str, Callable[[], Any]] = {
    statistic.__name__: statistic
    for statistic in (
        site_statistics.people,
        site_statistics.growth,
        site_statistics.messages,
        site_statistics.trees,
        site_statistics.topics,
        site_statistics.flow,
        site_statistics.waiting,
        site_statistics.acceptance,
        site_statistics.agreement,
        site_statistics.ranking_agreement,
        site_statistics.skips,
        site_statistics.contributors,
    )
}
FRONT_PAGE_STATISTICS: dict[str, Callable[[], Any]] = {
    "published_trees_by_lang": site_statistics.published_trees_by_lang,
}
STATISTICS = API_STATISTICS | PAGE_STATISTICS | FRONT_PAGE_STATISTICS


@dataclass(frozen=True)
class Statistic:
    name: str
    updated_at: datetime
    data: Any


def refresh(names: Iterable[str] = STATISTICS) -> int:
    """Compute these again, the oldest first, each in a transaction; return how many. If another process is computing
    one, wait for it and use its result. Raise PartialFailure.
    """
    began = timezone.now()
    known = dict(CachedStatistic.objects.values_list("name", "updated_at"))
    oldest_first = sorted(names, key=lambda name: known[name].timestamp() if name in known else 0)
    return run_for_each(oldest_first, lambda name: _refresh(name, began))


def _refresh(name: str, began: datetime) -> bool:
    with transaction.atomic(durable=True):
        advisory_lock("statistic", name)
        if CachedStatistic.objects.filter(name=name, updated_at__gte=began).exists():
            return False
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{TIMEOUT_SECONDS}s'")
        clock = time.monotonic()
        fresh = Statistic(name, timezone.now(), STATISTICS[name]())
        CachedStatistic.objects.update_or_create(
            name=name,
            defaults={"data": fresh.data, "updated_at": fresh.updated_at, "seconds": time.monotonic() - clock},
        )
        transaction.on_commit(lambda: cache.set(_key(name), _for_cache(fresh), CACHE_SECONDS), robust=True)
    return True


def read(name: str) -> Statistic:
    """Return one statistic. Raise Invalid `stats_not_available` until it was computed for the first time."""
    if statistics := read_all([name]):
        return statistics[0]
    raise Invalid("This statistic has not been computed yet.", code="stats_not_available")


def read_all(names: Iterable[str] = API_STATISTICS) -> list[Statistic]:
    """Return the statistics with these names that were ever computed. No statement if Redis has them all, else one;
    what comes from the table is written to Redis.
    """
    names = list(names)
    cached = cache.get_many([_key(name) for name in names])
    statistics: dict[str, Statistic] = {}
    for name in names:
        if entry := cached.get(_key(name)):
            statistics[name] = Statistic(name, datetime.fromisoformat(entry[0]), entry[1])
    if missing := [name for name in names if name not in statistics]:
        rows = CachedStatistic.objects.filter(name__in=missing)
        stored = {row.name: Statistic(row.name, row.updated_at, row.data) for row in rows}
        cache.set_many({_key(name): _for_cache(statistic) for name, statistic in stored.items()}, CACHE_SECONDS)
        statistics |= stored
    return [statistics[name] for name in names if name in statistics]


def _key(name: str) -> str:
    return f"statistic:{name}"


def _for_cache(statistic: Statistic) -> list[Any]:
    """Return plain JSON data, which is all that the cache can hold."""
    return [statistic.updated_at.isoformat(), statistic.data]
