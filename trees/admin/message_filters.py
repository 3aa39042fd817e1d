"""The filters in the form above the list of messages. trees.admin.filters has those that other lists use, too."""

from typing import Any
from uuid import UUID

from django.db.models import Count, FloatField, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.accounts.finding import find_people
from oasst.core.list_filters import DayFilter, FormFilter, SortBy, YesOrNo
from trees.models import MessageReading, Reaction, ReadingKind, Report, Role

MOST_AUTHORS = 200
"""People with the name that is typed, of whom messages are listed."""


class ByDeleted(YesOrNo):
    title = _("removed")
    parameter_name = "deleted__exact"


class ByHidden(YesOrNo):
    title = _("hidden")
    parameter_name = "hidden__exact"


class ByWithdrawn(YesOrNo):
    title = _("withdrawn by its author")
    parameter_name = "withdrawn__exact"


class ByEdited(YesOrNo):
    title = _("edited")
    parameter_name = "edited__exact"


class BySynthetic(YesOrNo):
    title = _("written by a model")
    parameter_name = "synthetic__exact"


class ByRole(FormFilter):
    title = _("role")
    parameter_name = "role__exact"
    options = tuple(Role.choices)

    def condition(self, value: str) -> Q | None:
        return Q(role=value) if value in Role.values else None


class ByKind(FormFilter):
    title = _("kind")
    parameter_name = "kind"
    options = (("prompt", _("First prompts")), ("reply", _("Replies")))

    def condition(self, value: str) -> Q | None:
        return {"prompt": Q(depth=0), "reply": Q(depth__gt=0)}.get(value)


class Since(DayFilter):
    title = _("from the day")
    parameter_name = "since"


class Until(DayFilter):
    title = _("to the day")
    parameter_name = "until"
    is_last = True


class ByAuthor(FormFilter):
    title = _("author: name or id")
    parameter_name = "author"
    control = "search"

    def condition(self, value: str) -> Q | None:
        try:
            return Q(author=UUID(value))
        except ValueError:
            return Q(author__in=find_people(value).order_by().values("pk")[:MOST_AUTHORS])


class AtLeast(FormFilter):
    numbers: tuple[int, ...] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(least), gettext("%(least)d or more") % {"least": least}) for least in self.numbers]


class ByFlags(AtLeast):
    title = _("red flags")
    parameter_name = "flags"
    numbers = (1, 2, 4, 10)

    def condition(self, value: str) -> Q | None:
        return _with_at_least(value, Reaction.objects.filter(emoji=Reaction.RED_FLAG))


class ByReports(AtLeast):
    title = _("reports")
    parameter_name = "reports"
    numbers = (1, 2, 4)
    OPEN = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(self.OPEN, gettext("Open ones")), *super().lookups(request, model_admin)]

    def condition(self, value: str) -> Q | None:
        if value == self.OPEN:
            return Q(pk__in=Report.objects.filter(status=Report.Status.OPEN).values("message"))
        return _with_at_least(value, Report.objects.all())


def _with_at_least(value: str, rows: QuerySet[Any]) -> Q | None:
    """Return the condition that so many of the rows are about a message."""
    if not value.isdecimal():
        return None
    about = rows.order_by().values("message")
    least = int(value[:6])
    return Q(pk__in=about if least < 2 else about.annotate(n=Count("pk")).filter(n__gte=least).values("message"))


class ByToxicity(FormFilter):
    title = _("toxicity from 0 to 1, at least")
    parameter_name = "toxicity"
    control = "number"
    attributes = {"min": "0", "max": "1", "step": "0.05", "inputmode": "decimal"}

    def condition(self, value: str) -> Q | None:
        score = float(value)
        if not 0 <= score <= 1:
            raise ValueError(value)
        readings = MessageReading.objects.filter(kind=ReadingKind.TOXICITY).annotate(score=TOXICITY)
        return Q(revision__in=readings.filter(score__gte=score).values("revision"))


TOXICITY = Cast(KeyTextTransform("toxicity", "result"), FloatField())
"""What the index `reading_toxicity` has."""


class MessageOrder(SortBy):
    NEWEST, OLDEST, FLAGGED = "newest", "oldest", "flags"
    options = ((OLDEST, _("Oldest first")), (FLAGGED, _("Most red flags first")))
    unchosen = _("Newest first")
    ORDERS: dict[Any, tuple[str, ...]] = {OLDEST: ("created_at", "id")}
    NEWEST_FIRST = ("-created_at", "-id")
