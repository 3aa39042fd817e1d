"""Admin of reported answers, the moderators' queue."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from inference.chats import moderation
from inference.models import ChatReport
from inference.queries import thread_of
from oasst.accounts.models import User
from oasst.core.markdown.rendering import plain_excerpt
from oasst.core.read_only_admin import ReadOnlyAdmin, ReasonForm, badge, render_message, render_plain_text

CONTEXT = 20
"""How many messages before the reported one are shown."""


class OutcomeForm(ReasonForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].widget.attrs.update(
            {
                "placeholder": gettext("What came of it? (required, the reporter reads it)"),
                "aria-label": gettext("Outcome"),
                "data-limit": moderation.OUTCOME_LENGTH,
            }
        )


class StatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", gettext("Open")), ("resolved", gettext("Resolved"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("open", "resolved"):
            return queryset
        return queryset.filter(resolved_at__isnull=self.value() == "open")


@admin.register(ChatReport)
class ChatReportAdmin(ReadOnlyAdmin):
    action_form = OutcomeForm
    reason_label = _("What came of it")
    reason_limit = moderation.OUTCOME_LENGTH
    list_display = ("about", "standing", "kind", "excerpt", "user", "created_at")
    list_filter = (StatusFilter, "kind")
    list_select_related = ("message", "user", "resolved_by")
    search_fields = ("reason",)
    search_help_text = _("A piece of what the reporter wrote")
    actions = ("resolve",)
    fields = (
        *(("standing", "kind"), "report_text", "answer", ("user", "created_at")),
        *("outcome", ("resolved_by", "resolved_at")),
    )
    readonly_fields = ("standing", "report_text", "answer")
    change_form_outer_after_template = "inference/admin/report.html"

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Open reports: oldest first."""
        return ("created_at", "id") if request.GET.get("status") == "open" else ("-id",)

    def title_of(self, obj: ChatReport) -> str:
        return f"{obj.get_kind_display()}: {obj.reason}"

    def can_do(self, action: str, obj: ChatReport, actor: User) -> bool:
        return obj.resolved_at is None

    def details(self, obj: ChatReport) -> dict[str, Any]:
        before = thread_of(obj.message.parent_id) if obj.message.parent_id else []
        return {"before": before[-CONTEXT:], "left_out": max(len(before) - CONTEXT, 0)}

    @admin.display(description=_("What the reporter says"))
    def about(self, report: ChatReport) -> str:
        return Truncator(" ".join(report.reason.split())).chars(60)

    @admin.display(description=_("Status"))
    def standing(self, report: ChatReport) -> str:
        return badge(gettext("resolved"), "success") if report.resolved_at else badge(gettext("open"), "warning")

    @admin.display(description=_("Answer"))
    def excerpt(self, report: ChatReport) -> str:
        return plain_excerpt(report.message.content, 60)

    @admin.display(description=_("What the reporter says"))
    def report_text(self, report: ChatReport) -> str:
        return render_plain_text(report.reason)

    @admin.display(description=_("Answer"))
    def answer(self, report: ChatReport) -> str:
        return render_message(report.message.content)

    @admin.action(description=_("Resolve"))
    def resolve(self, request: Any, chosen: QuerySet[ChatReport]) -> None:
        def act(report: ChatReport, outcome: str) -> None:
            moderation.resolve_report(report_id=report.pk, actor=request.user, outcome=outcome)

        self.act_on_each(request, chosen, gettext("resolved"), act)
