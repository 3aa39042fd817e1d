"""Streaks: days of work in a row, in the time zone of the user. One missed day is forgiven; two end the streak.

`User` has columns for when the streak began and when the user last worked. The number of days depends on what day it is
for the user, so it is computed when it is shown.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import DateTimeField, Func, Max, Min, QuerySet, Value

from leaderboard import hot
from oasst.accounts.models import User
from oasst.accounts.time_zones import user_zone
from trees.models import Happening

GRACE = timedelta(days=2)  # at most, from one day of work to the next


@dataclass(frozen=True)
class Streak:
    days: int
    done_today: bool

    @property
    def wants_today(self) -> bool:
        """Return True if work today would save or extend the streak."""
        return self.days > 0 and not self.done_today


def continues_streak(before: datetime, after: datetime, zone: ZoneInfo) -> bool:
    """Return True if work at `after` continues a streak with work at `before`."""
    return after.astimezone(zone).date() - before.astimezone(zone).date() <= GRACE


def streak_of(user: User, now: datetime) -> Streak:
    """Return the streak at `now`; 0 days if it has ended."""
    started, last = user.streak_started_at, user.last_activity_at
    if started is None or last is None or now - last > 2 * GRACE:  # too old in any time zone: skip loading the zone
        return Streak(0, False)
    zone = user_zone(user)
    if not continues_streak(last, now, zone):
        return Streak(0, False)
    last_day = last.astimezone(zone).date()
    days = (last_day - started.astimezone(zone).date()).days + 1
    return Streak(days, last_day >= now.astimezone(zone).date())


def extend_streak(user: User, moments: Iterable[datetime]) -> None:
    """Update the streak of a user, unsaved, for work at these moments, in any order and also repeatedly.

    Work before the streak extends it backwards only if no more than `GRACE` lies between them.
    """
    zone = user_zone(user)
    for moment in sorted(moments):
        started, last = user.streak_started_at, user.last_activity_at
        if started is None or last is None or not continues_streak(last, moment, zone):
            user.streak_started_at = user.last_activity_at = moment
        elif moment > last:
            user.last_activity_at = moment
        elif moment < started and continues_streak(moment, started, zone):
            user.streak_started_at = moment
    _count_days(user, zone)


def _count_days(user: User, zone: ZoneInfo) -> None:
    if user.streak_started_at is None or user.last_activity_at is None:
        return
    last, first = (at.astimezone(zone).date() for at in (user.last_activity_at, user.streak_started_at))
    user.streak_days = (last - first).days + 1


def _reach_back(user: User) -> None:
    """Extend the streak backwards over earlier work, which late work may have connected to it."""
    zone, started = user_zone(user), user.streak_started_at
    assert started is not None
    before = Happening.objects.filter(actor=user, kind__in=Happening.WORK, at__lt=started).order_by("-at")
    for moment in before.values_list("at", flat=True).iterator():
        if not continues_streak(moment, started, zone):
            break
        started = moment
    user.streak_started_at = started
    _count_days(user, zone)


def record_work(work: Iterable[tuple[UUID, datetime]]) -> None:
    """Update the streaks of users who worked. Two statements, and one more for each with late work."""
    moments: dict[UUID, list[datetime]] = defaultdict(list)
    for person_id, at in work:
        moments[person_id].append(at)
    if not moments:
        return
    people = _lock(User.objects.filter(pk__in=moments))
    for user in people:
        known = user.streak_started_at
        extend_streak(user, moments[user.pk])
        if known and user.streak_started_at and user.streak_started_at < known:
            _reach_back(user)
    hot.store_streaks(people)


def recompute_streaks(people: QuerySet[User]) -> None:
    """Compute the streaks of these users again from all events. Needs an open transaction."""
    by_id = {user.pk: user for user in _lock(people)}
    for user in by_id.values():
        user.streak_started_at = user.streak_days = user.last_activity_at = None
    # In every time zone days begin at a quarter of an hour of UTC, so the first and last work of each quarter suffice.
    quarter = Func(
        Value(timedelta(minutes=15)),
        "at",
        Value(datetime(2000, 1, 1, tzinfo=UTC)),
        function="date_bin",
        output_field=DateTimeField(),
    )
    done = Happening.objects.filter(kind__in=Happening.WORK, actor__in=people).order_by()
    quarters = done.values("actor", quarter=quarter).annotate(first=Min("at"), last=Max("at"))
    rows = quarters.order_by("actor", "first").values_list("actor", "first", "last").iterator()
    for person_id, group in groupby(rows, key=itemgetter(0)):
        if person_id in by_id:  # users who registered meanwhile follow with their events
            extend_streak(by_id[person_id], (moment for _, *moments in group for moment in moments))
    hot.store_streaks(by_id.values())


def _lock(people: QuerySet[User]) -> list[User]:
    """Lock these users, ordered by id so that two transactions do not deadlock."""
    locked = people.select_for_update(of=("self",), no_key=True).order_by("pk")
    return list(locked.only("time_zone", "streak_started_at", "streak_days", "last_activity_at"))
