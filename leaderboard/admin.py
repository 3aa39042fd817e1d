"""The moderators' board: the authors whose texts people complain about."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from leaderboard.models import TrollStanding
from leaderboard.points import COMPLAINTS, MEANS
from leaderboard.time_frames import Frame
from oasst.accounts.finding import find_people
from oasst.core.list_filters import FILTER_FORM, FormChangeList, FormFilter
from oasst.core.read_only_admin import ReadOnlyAdmin, badge, render_person

SUMS = tuple(name for name in COMPLAINTS if not name.endswith(("_sum", "_number")))


class ByFrame(FormFilter):
    """A person has a row in each frame; without a choice, those of all time are shown."""

    title = _("time")
    parameter_name = "frame__exact"
    options = ((Frame.DAY, _("24 hours")), (Frame.WEEK, _("7 days")), (Frame.MONTH, _("30 days")))
    unchosen = _("All time")

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return queryset.filter(frame=chosen if chosen in tuple(Frame) else Frame.TOTAL)


class ByStanding(FormFilter):
    title = _("standing")
    parameter_name = "person__enabled__exact"
    options = (("1", _("Good")), ("0", _("Suspended")))

    def condition(self, value: str) -> Q | None:
        return Q(person__enabled=value == "1") if value in ("0", "1") else None


@admin.register(TrollStanding)
class TrollStandingAdmin(ReadOnlyAdmin):
    list_display = (
        *("author", "standing", "score", "red_flags", "upvotes", "downvotes", "spam", "toxicity"),
        *("messages_of_author", "updated_at"),
    )
    list_display_links = ("score",)
    change_list_template = FILTER_FORM
    list_filter = (ByFrame, ByStanding)
    list_select_related = ("person",)
    search_fields = ("id",)
    search_help_text = _("The start of a name, with or without accents, of a login, an e-mail address, or an id")
    ordering = ("-score", "person")
    actions = ("act_on_many",)
    fields = ("author", "frame", "score", *SUMS, "means")
    readonly_fields = ("author", "means")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[FormChangeList]:
        return FormChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[TrollStanding], search_term: str
    ) -> tuple[QuerySet[TrollStanding], bool]:
        if not search_term.strip():
            return queryset, False
        return queryset.filter(person__in=find_people(search_term).values("pk")), False

    def title_of(self, obj: TrollStanding) -> str:
        return str(obj.person)

    @admin.action(description=_("Act on many: show what would happen"))
    def act_on_many(self, request: HttpRequest, chosen: QuerySet[TrollStanding]) -> HttpResponse:
        """Go on to the page that asks what to do to these people; the reason is asked for there."""
        people = [("person", str(row.person_id)) for row in chosen]
        reason = [("reason", why)] if (why := request.POST.get("reason", "").strip()) else []
        return redirect(f"{reverse('admin:bulk_new')}?{urlencode(people + reason)}")

    @admin.display(description=_("Author"))
    def author(self, row: TrollStanding) -> SafeString:
        address = reverse("admin:accounts_user_change", args=[row.person_id])
        return render_person(row.person, address)

    @admin.display(description=_("Messages"))
    def messages_of_author(self, row: TrollStanding) -> SafeString:
        address = reverse("admin:trees_message_changelist")
        link = '<a class="text-link" href="{}?author={}{}">{}</a>'
        every = format_html(link, address, row.person_id, "", gettext("all"))
        return format_html("{} · {}", every, format_html(link, address, row.person_id, "&flags=1", gettext("flagged")))

    @admin.display(description=_("Standing"))
    def standing(self, row: TrollStanding) -> SafeString:
        return badge(gettext("good"), "success") if row.person.enabled else badge(gettext("suspended"), "danger")

    @admin.display(description=_("Toxicity"))
    def toxicity(self, row: TrollStanding) -> str | None:
        mean = row.mean("toxicity")
        return None if mean is None else f"{mean:.0%}"

    @admin.display(description=_("Means of the scales, from 0 to 1"))
    def means(self, row: TrollStanding) -> str:
        known = {name: mean for name in MEANS if (mean := row.mean(name)) is not None}
        return ", ".join(f"{name} {mean:.2f}" for name, mean in known.items()) or "–"
