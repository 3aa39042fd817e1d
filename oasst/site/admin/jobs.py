"""Admin page of waiting jobs: operators try them again or give them up. Other pages of jobs: oasst.site.operation."""

from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from oasst.accounts.groups import OPERATE
from oasst.core.models import WaitingJob
from oasst.core.read_only_admin import ReadOnlyAdmin
from oasst.site.operation import changing
from oasst.site.operation.descriptions import describe

SHOWN_IDS = 3


class ByJob(admin.SimpleListFilter):
    title = _("job")
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        jobs = WaitingJob.objects.order_by("job").values_list("job", flat=True).distinct()
        return [(job, str(describe(job).title)) for job in jobs]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(job=self.value()) if self.value() else queryset


class ByFailure(admin.SimpleListFilter):
    title = _("failed before")
    parameter_name = "failed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("Yes")), ("no", _("No"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        match self.value():
            case "yes":
                return queryset.filter(attempts__gt=0)
            case "no":
                return queryset.filter(attempts=0)
        return queryset


@admin.register(WaitingJob)
class WaitingJobAdmin(ReadOnlyAdmin):
    """What somebody's act or an operator asked for and is not done. The longest waiting first."""

    list_display = ("title", "subject", "created_at", "attempts", "sent_at", "due_at")
    list_filter = (ByJob, ByFailure)
    ordering = ("created_at", "pk")
    fields = ("what", "subject", "created_at", "attempts", "sent_at", "due_at", "if_given_up")
    actions = ("try_now", "give_up")
    acting_permission = OPERATE
    destructive = ("give_up",)
    empty_text = _("No job waits.")

    def title_of(self, obj: WaitingJob) -> str:
        return str(describe(obj.job).title)

    def can_do(self, action: str, obj: WaitingJob, actor: Any) -> bool:
        return action != "give_up" or obj.once or not describe(obj.job).kept

    @admin.display(description=_("Job"))
    def title(self, row: WaitingJob) -> str:
        return self.title_of(row)

    @admin.display(description=_("Job"))
    def what(self, row: WaitingJob) -> SafeString:
        title = describe(row.job).title
        return format_html('<a class="text-link" href="{}">{}</a>', reverse("admin:job", args=[row.job]), title)

    @admin.display(description=_("About"))
    def subject(self, row: WaitingJob) -> str:
        """Only ids: anything else may be somebody's words."""
        return ", ".join(str(value) if _is_id(value) else "…" for value in row.args[:SHOWN_IDS]) or "–"

    @admin.display(description=_("If it is given up"))
    def if_given_up(self, row: WaitingJob) -> str:
        about = describe(row.job)
        if row.once:
            return str(_("Nothing: the clock runs this job at its own times."))
        return str(about.kept or about.loss)

    @admin.action(description=_("Try now"))
    def try_now(self, request: Any, queryset: Any) -> None:
        self.act_on_each(request, queryset, str(_("sent to the workers")), partial(_act, changing.try_now, request))

    @admin.action(description=_("Give up"))
    def give_up(self, request: Any, queryset: Any) -> None:
        self.act_on_each(request, queryset, str(_("given up")), partial(_act, changing.give_up, request))


def _act(service: Any, request: Any, row: WaitingJob, reason: str) -> None:
    service(row.pk, actor=request.user, reason=reason)


def _is_id(value: Any) -> bool:
    if isinstance(value, int):
        return True
    try:
        return bool(UUID(str(value)))
    except ValueError:
        return False
