"""Statistics that take long: computed by the clock, served from Redis, from the table when that is empty.

A page or a client only reads them, so nobody waits and no two compute the same. Their age is part of the answer.
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
from oasst.core.jobs import one_by_one
from oasst.core.locks import advisory_lock

KEEP = 24 * 3600  # seconds in Redis; the clock replaces them long before
LONGEST = 120  # seconds for one statistic; what takes longer is given up and tried again the next time

ON_THE_WIRE: dict[str, Callable[[], Any]] = {
    one.__name__: one
    for one in (
        site_statistics.human_messages_by_lang,
        site_statistics.human_messages_by_role,
        site_statistics.message_trees_by_state,
        site_statistics.message_trees_states_by_lang,
        site_statistics.users_accepted_tos,
    )
}
ON_THE_PAGE: dict[str, Callable[[], Any]] = {
    one.__name__: one
    for one in (
        site_statistics.messages,
        site_statistics.trees,
        site_statistics.flow,
        site_statistics.waiting,
        site_statistics.acceptance,
        site_statistics.agreement_by_label,
        site_statistics.agreement_by_language,
        site_statistics.agreement_by_week,
        site_statistics.skips,
        site_statistics.contributors,
    )
}
STATISTICS = ON_THE_WIRE | ON_THE_PAGE


@dataclass(frozen=True)
class Statistic:
    name: str
    updated_at: datetime
    data: Any


def refresh(names: Iterable[str] = STATISTICS) -> int:
    """Compute these anew, the oldest first; returns how many were. Each is a transaction. Somebody else who is
    computing one is waited for, and then it is new enough. Raises SomeFailed.
    """
    began = timezone.now()
    known = dict(CachedStatistic.objects.values_list("name", "updated_at"))
    oldest_first = sorted(names, key=lambda name: known[name].timestamp() if name in known else 0)
    return one_by_one(oldest_first, lambda name: _refresh(name, began))


def _refresh(name: str, began: datetime) -> bool:
    with transaction.atomic(durable=True):
        advisory_lock("statistic", name)
        if CachedStatistic.objects.filter(name=name, updated_at__gte=began).exists():
            return False
        with connection.cursor() as cursor:  # settings are nothing that the ORM knows
            cursor.execute(f"SET LOCAL statement_timeout = '{LONGEST}s'")
        clock = time.monotonic()
        found = Statistic(name, timezone.now(), STATISTICS[name]())
        CachedStatistic.objects.update_or_create(
            name=name,
            defaults={"data": found.data, "updated_at": found.updated_at, "seconds": time.monotonic() - clock},
        )
        transaction.on_commit(lambda: cache.set(_key(name), _kept(found), KEEP), robust=True)
    return True


def read(name: str) -> Statistic:
    """Raises Invalid `stats_not_available` until the clock has computed it for the first time."""
    if found := read_all([name]):
        return found[0]
    raise Invalid("This statistic has not been computed yet.", code="stats_not_available")


def read_all(names: Iterable[str] = ON_THE_WIRE) -> list[Statistic]:
    """Those of the names that were ever computed. No statement, or one when Redis does not have them all.

    What the table had is left in Redis for the next reader.
    """
    names = list(names)
    kept = cache.get_many([_key(name) for name in names])
    found = {name: _of_kept(name, *kept[_key(name)]) for name in names if _key(name) in kept}
    missing = [name for name in names if name not in found]
    if missing:
        rows = CachedStatistic.objects.filter(name__in=missing)
        stored = {one.name: Statistic(one.name, one.updated_at, one.data) for one in rows}
        cache.set_many({_key(name): _kept(one) for name, one in stored.items()}, KEEP)
        found |= stored
    return [found[name] for name in names if name in found]


def _key(name: str) -> str:
    return f"statistic:{name}"


def _kept(one: Statistic) -> list[Any]:
    """As JSON, which is what the cache holds."""
    return [one.updated_at.isoformat(), one.data]


def _of_kept(name: str, updated_at: str, data: Any) -> Statistic:
    return Statistic(name, datetime.fromisoformat(updated_at), data)
