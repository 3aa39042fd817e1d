"""The filters in the form above the list of people."""

from datetime import timedelta
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from leaderboard.models import TrollStanding
from leaderboard.time_frames import Frame
from oasst.accounts.groups import Duty
from oasst.accounts.models import Role, User
from oasst.core.list_filters import DayFilter, FormFilter, SortBy
from oasst.core.text.languages import name_of
from trees.moderation.queries import languages


class ByRole(FormFilter):
    title = _("role")
    parameter_name = "role__exact"
    options = tuple(Role.choices)

    def condition(self, value: str) -> Q | None:
        return Q(role=value) if value in Role.values else None


class ByDuty(FormFilter):
    title = _("duty")
    parameter_name = "duty"
    options = tuple(Duty.choices)

    def condition(self, value: str) -> Q | None:
        return Q(duties__contains=[value]) if value in Duty.values else None


class ByStanding(FormFilter):
    title = _("standing")
    parameter_name = "enabled__exact"
    options = (("1", _("Good")), ("0", _("Suspended")))

    def condition(self, value: str) -> Q | None:
        return Q(enabled=value == "1") if value in ("0", "1") else None


class ByAccount(FormFilter):
    title = _("account")
    parameter_name = "account"
    options = (("open", _("Open")), ("closed", _("Closed")))

    def condition(self, value: str) -> Q | None:
        return Q(deleted_at__isnull=value == "open") if value in ("open", "closed") else None


class ByContributionLanguage(FormFilter):
    title = _("contributes in")
    parameter_name = "lang"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(lang, name_of(lang)) for lang in languages()]

    def condition(self, value: str) -> Q | None:
        return Q(contribution_languages__contains=[value])


class JoinedSince(DayFilter):
    title = _("joined from the day")
    parameter_name = "since"


class JoinedUntil(DayFilter):
    title = _("joined to the day")
    parameter_name = "until"
    is_last = True


class ByActivity(FormFilter):
    title = _("last active")
    parameter_name = "active"
    options = (
        *(("1", _("Within a day")), ("7", _("Within a week")), ("30", _("Within a month"))),
        *(("not30", _("Not for a month")), ("never", _("Never"))),
    )

    def condition(self, value: str) -> Q | None:
        if value == "never":
            return Q(last_activity_at=None)
        days = value.removeprefix("not")
        if days not in ("1", "7", "30"):
            return None
        since = timezone.now() - timedelta(days=int(days))
        return Q(last_activity_at__lt=since) if value.startswith("not") else Q(last_activity_at__gte=since)


class ByComplaints(FormFilter):
    """Points of all time on the board of complaints."""

    title = _("complaints, all time")
    parameter_name = "complaints"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(least), gettext("%(least)d points or more") % {"least": least}) for least in (1, 5, 20)]

    def condition(self, value: str) -> Q | None:
        if not value.isdecimal():
            return None
        return Q(Exists(_standing().filter(score__gte=int(value[:6]))))


class PeopleOrder(SortBy):
    ACTIVE, NAME, COMPLAINTS = "active", "name", "complaints"
    options = ((ACTIVE, _("Last active first")), (NAME, _("By name")), (COMPLAINTS, _("Most complaints first")))
    unchosen = _("Newest first")

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        """Give the column to sort by, and leave out people without any."""
        if self.value() == self.ACTIVE:
            return queryset.exclude(last_activity_at=None)
        if self.value() == self.COMPLAINTS:
            score = Subquery(_standing().values("score"))
            return queryset.filter(Exists(_standing().filter(score__gt=0))).annotate(complaints=score)
        return queryset


ORDERS: dict[str, tuple[Any, ...]] = {
    PeopleOrder.ACTIVE: ("-last_activity_at", "-id"),
    PeopleOrder.NAME: ("display_name", "id"),
    PeopleOrder.COMPLAINTS: (F("complaints").desc(), "-id"),
}


def _standing() -> QuerySet[TrollStanding]:
    return TrollStanding.objects.filter(person=OuterRef("pk"), frame=Frame.TOTAL)
