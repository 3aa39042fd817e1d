"""The goal of the day: how many pieces of work a user wants to do, by their own choice, and how many they did."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, IntegerField, OuterRef, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from leaderboard.models import Tally
from leaderboard.points import WORK
from oasst.accounts.models import User
from oasst.accounts.time_zones import user_zone
from trees.models import Happening


@dataclass(frozen=True)
class Goal:
    wanted: int
    done: int

    @property
    def missing(self) -> int:
        return max(0, self.wanted - self.done)

    @property
    def percent(self) -> int:
        return min(100, 100 * self.done // self.wanted)


def goal_of(user: User, now: datetime) -> Goal | None:
    """Return the user's goal and what they did in the day of their time zone; None if they want none. One statement.

    Tallies have whole hours of UTC: where a day begins between two, up to 45 minutes of the day before count too.
    """
    if not user.daily_goal:
        return None
    midnight = now.astimezone(user_zone(user)).replace(hour=0, minute=0, second=0, microsecond=0)
    return Goal(user.daily_goal, _count_work(user, midnight))


def _count_work(user: User, since: datetime) -> int:
    tallies = Tally.objects.filter(person=OuterRef("pk"), start__gte=since.replace(minute=0), kind__in=WORK)
    counted = tallies.order_by().values("person").annotate(total=Sum("number")).values("total")
    # What the tallies do not contain yet, which is of the last seconds.
    events = Happening.objects.filter(actor=OuterRef("pk"), tallied=False, kind__in=Happening.WORK, at__gte=since)
    uncounted = events.order_by().values("actor").annotate(total=Count("pk")).values("total")
    sums = [Coalesce(Subquery(part, output_field=IntegerField()), Value(0)) for part in (counted, uncounted)]
    return User.objects.filter(pk=user.pk).values_list(sums[0] + sums[1], flat=True).get()
