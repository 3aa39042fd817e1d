"""Days in a row, in the time zone of the person. One missed day is forgiven; two end it.

The columns stand on `User`, where the wire reads them: when the streak began and when the person last worked. How many
days that are depends on the day it is for them, so it is worked out where it is shown.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import QuerySet

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
    zone = ZoneInfo(person.time_zone)
    if started is None or last is None or not follows(last, now, zone):
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
    assert person.streak_started_at is not None and person.last_activity_at is not None
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
    people = list(
        User.objects.select_for_update(of=("self",), no_key=True)
        .filter(pk__in=moments)
        .order_by("pk")
        .only("time_zone", "streak_started_at", "streak_days", "last_activity_at")
    )
    for person in people:
        known = person.streak_started_at
        carry_on(person, moments[person.pk])
        if known and person.streak_started_at and person.streak_started_at < known:
            _reach_back(person)
    User.objects.bulk_update(people, ["streak_started_at", "streak_days", "last_activity_at"])


_AGAIN = """
    WITH zones AS MATERIALIZED (SELECT name FROM pg_timezone_names),
    days AS (
        SELECT person.id, (done.at AT TIME ZONE coalesce(zones.name, 'UTC'))::date AS day,
               min(done.at) AS first, max(done.at) AS last
        FROM accounts_user person LEFT JOIN zones ON zones.name = person.time_zone
        JOIN trees_happening done ON done.actor_id = person.id
        WHERE person.id = ANY(%(people)s) AND done.kind = ANY(%(work)s) GROUP BY 1, 2
    ),
    marked AS (SELECT *, day - lag(day) OVER (PARTITION BY id ORDER BY day) <= %(grace)s AS goes_on FROM days),
    begun AS (SELECT DISTINCT ON (id) id, day, first FROM marked WHERE goes_on IS NOT TRUE ORDER BY id, day DESC),
    ended AS (SELECT DISTINCT ON (id) id, day, last FROM days ORDER BY id, day DESC)
    UPDATE accounts_user
    SET streak_started_at = begun.first, last_activity_at = ended.last, streak_days = ended.day - begun.day + 1
    FROM unnest(%(people)s) AS one (id) LEFT JOIN begun USING (id) LEFT JOIN ended USING (id)
    WHERE accounts_user.id = one.id AND (streak_started_at, last_activity_at, streak_days)
        IS DISTINCT FROM (begun.first, ended.last, ended.day - begun.day + 1)
"""


def work_out_again(people: QuerySet[User]) -> None:
    """Make the streaks of these people from all that was told, in the database: of millions of pieces of work only the
    last days in a row count. One statement.

    A time zone that Python knows and PostgreSQL does not counts as UTC, until the next piece of work.
    """
    ids = list(people.order_by("pk").values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(_AGAIN, {"people": ids, "work": sorted(WORK), "grace": GRACE.days})
