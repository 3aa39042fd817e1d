"""Days in a row, in the time zone of the person. One missed day is forgiven; two end it.

The columns stand on `User`, where the wire reads them: when the streak began and when the person last worked. How many
days that are depends on the day it is for them, so it is worked out where it is shown.
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
from trees.models import Happening

WORK = frozenset(
    kind.value
    for kind in (Happening.Kind.MESSAGE_POSTED, Happening.Kind.MESSAGE_REVIEWED, Happening.Kind.REPLIES_RANKED)
)
GRACE = timedelta(days=2)  # from one day of work to the next: one day in between is forgiven


@dataclass(frozen=True)
class Streak:
    days: int
    done_today: bool

    @property
    def wants_today(self) -> bool:
        """Would a piece of work today keep it from ending, or make it longer?"""
        return self.days > 0 and not self.done_today


def follows(before: datetime, after: datetime, zone: ZoneInfo) -> bool:
    """Does work at `after` carry on a streak with work at `before`?"""
    return after.astimezone(zone).date() - before.astimezone(zone).date() <= GRACE


def streak_of(person: User, now: datetime) -> Streak:
    started, last = person.streak_started_at, person.last_activity_at
    if started is None or last is None or now - last > 2 * GRACE:  # too long ago in any time zone
        return Streak(0, False)
    zone = ZoneInfo(person.time_zone)
    if not follows(last, now, zone):
        return Streak(0, False)
    last_day = last.astimezone(zone).date()
    days = (last_day - started.astimezone(zone).date()).days + 1
    return Streak(days, last_day >= now.astimezone(zone).date())


def carry_on(person: User, moments: Iterable[datetime]) -> None:
    """Let work at these moments begin, carry on or end and begin again the streak of a person. Saves nothing.

    Moments may come again and in any order. One that fell before what is known and more than the grace away does not
    join it by itself.
    """
    zone = ZoneInfo(person.time_zone)
    for moment in sorted(moments):
        started, last = person.streak_started_at, person.last_activity_at
        if started is None or last is None or not follows(last, moment, zone):
            person.streak_started_at = person.last_activity_at = moment
        elif moment > last:
            person.last_activity_at = moment
        elif moment < started and follows(moment, started, zone):
            person.streak_started_at = moment
    _count_days(person, zone)


def _count_days(person: User, zone: ZoneInfo) -> None:
    if person.streak_started_at is None or person.last_activity_at is None:
        return
    last, first = (one.astimezone(zone).date() for one in (person.last_activity_at, person.streak_started_at))
    person.streak_days = (last - first).days + 1


def _reach_back(person: User) -> None:
    """Work that came late joined the streak, and so may work before it that was too far away until now."""
    zone, started = ZoneInfo(person.time_zone), person.streak_started_at
    assert started is not None
    before = Happening.objects.filter(actor=person, kind__in=WORK, at__lt=started).order_by("-at")
    for moment in before.values_list("at", flat=True).iterator():
        if not follows(moment, started, zone):
            break
        started = moment
    person.streak_started_at = started
    _count_days(person, zone)


def note(work: Iterable[tuple[UUID, datetime]]) -> None:
    """Carry on the streaks of people who did work. Two statements, and one for each whose work came late."""
    moments: dict[UUID, list[datetime]] = defaultdict(list)
    for person_id, at in work:
        moments[person_id].append(at)
    if not moments:
        return
    people = _lock(User.objects.filter(pk__in=moments))
    for person in people:
        known = person.streak_started_at
        carry_on(person, moments[person.pk])
        if known and person.streak_started_at and person.streak_started_at < known:
            _reach_back(person)
    hot.store_streaks(people)


def work_out_again(people: QuerySet[User]) -> None:
    """Forget the streaks of these people and make them from all that was told. Needs an open transaction."""
    found = {one.pk: one for one in _lock(people)}
    for person in found.values():
        person.streak_started_at = person.streak_days = person.last_activity_at = None
    # No two days of anybody meet within a quarter of an hour of UTC: its first and its last work say all of it.
    quarter = Func(
        Value(timedelta(minutes=15)),
        "at",
        Value(datetime(2000, 1, 1, tzinfo=UTC)),
        function="date_bin",
        output_field=DateTimeField(),
    )
    done = Happening.objects.filter(kind__in=WORK, actor__in=people).order_by()
    quarters = done.values("actor", quarter=quarter).annotate(first=Min("at"), last=Max("at"))
    rows = quarters.order_by("actor", "first").values_list("actor", "first", "last").iterator()
    for person_id, theirs in groupby(rows, key=itemgetter(0)):
        if person_id in found:  # whoever came meanwhile is counted as their work is read
            carry_on(found[person_id], (moment for _, *moments in theirs for moment in moments))
    hot.store_streaks(found.values())


def _lock(people: QuerySet[User]) -> list[User]:
    """In one order, so that two who lock do not wait for each other."""
    locked = people.select_for_update(of=("self",), no_key=True).order_by("pk")
    return list(locked.only("time_zone", "streak_started_at", "streak_days", "last_activity_at"))
