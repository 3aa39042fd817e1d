"""The moderators' board: the authors whose texts people complain about."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from leaderboard.models import TrollStanding
from leaderboard.points import COMPLAINTS, MEANS
from oasst.core.read_only_admin import ReadOnlyAdmin, badge, render_person

SUMS = tuple(name for name in COMPLAINTS if not name.endswith(("_sum", "_number")))


@admin.register(TrollStanding)
class TrollStandingAdmin(ReadOnlyAdmin):
    list_display = (
        "author",
        "standing",
        "score",
        "red_flags",
        "upvotes",
        "downvotes",
        "spam",
        "toxicity",
        "updated_at",
    )
    list_display_links = ("score",)
    list_filter = ("frame", "person__enabled")
    list_select_related = ("person",)
    search_fields = ("person__display_name", "person__id__exact")
    ordering = ("-score", "person")
    fields = ("author", "frame", "score", *SUMS, "means")
    readonly_fields = ("author", "means")

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrollStanding]:
        """Show all time unless a frame was chosen, since a user has a row in each frame."""
        rows: QuerySet[TrollStanding] = super().get_queryset(request)
        match = request.resolver_match
        is_list = match is not None and (match.url_name or "").endswith("_changelist")
        return rows.filter(frame="total") if is_list and "frame__exact" not in request.GET else rows

    def title_of(self, obj: TrollStanding) -> str:
        return str(obj.person)

    @admin.display(description="Author")
    def author(self, row: TrollStanding) -> SafeString:
        address = reverse("admin:accounts_user_change", args=[row.person_id])
        return render_person(row.person, address)

    @admin.display(description="Standing")
    def standing(self, row: TrollStanding) -> SafeString:
        return badge("good", "success") if row.person.enabled else badge("banned", "danger")

    @admin.display(description="Toxicity")
    def toxicity(self, row: TrollStanding) -> str | None:
        mean = row.mean("toxicity")
        return None if mean is None else f"{mean:.0%}"

    @admin.display(description="Means of the scales, from 0 to 1")
    def means(self, row: TrollStanding) -> str:
        known = {name: mean for name in MEANS if (mean := row.mean(name)) is not None}
        return ", ".join(f"{name} {mean:.2f}" for name, mean in known.items()) or "–"
