"""The moderators' queue of reports."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.accounts.models import User
from oasst.accounts.rights import may_act_in
from oasst.core.errors import Conflict
from oasst.core.read_only_admin import ReadOnlyAdmin, ReasonForm, badge, render_plain_text
from trees.admin.about_message import AboutMessage
from trees.admin.filters import ByLanguageOfMessage
from trees.models import Report
from trees.moderation import moderator_actions, offered_actions
from trees.policies.reading import current_policy

TONES = {Report.Status.OPEN: "warning", Report.Status.UPHELD: "success", Report.Status.DISMISSED: ""}


class OutcomeForm(ReasonForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].widget.attrs.update(
            {
                "placeholder": gettext("What came of it? (required, the reporter reads it)"),
                "aria-label": gettext("Outcome"),
                "data-limit": 1000,
            }
        )


@admin.register(Report)
class ReportAdmin(AboutMessage, ReadOnlyAdmin):
    action_form = OutcomeForm
    reason_label = _("What came of it")
    reason_limit = 1000
    list_display = ("about", "state_of_report", "category", "excerpt", "state_of_message", "reporter", "created_at")
    list_filter = ("status", "category", ByLanguageOfMessage)
    search_fields = ("message__id__exact", "message__tree__id__exact", "text")
    search_help_text = _("A piece of what the reporter wrote, or the id of a message or of its conversation")
    actions = ("uphold", "dismiss")
    fields = (
        *(
            ("state_of_report", "category"),
            "report_text",
            "message_text",
            "answered",
            ("author_of_message", "state_of_message"),
            ("reporter", "created_at"),
        ),
        *("outcome", ("handled_by", "handled_at")),
    )
    readonly_fields = (
        "state_of_report",
        "report_text",
        "message_text",
        "answered",
        "author_of_message",
        "state_of_message",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Report]:
        rows = super().get_queryset(request).select_related("message", "reporter", "handled_by")
        return rows.defer("message__search")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Sort the queue by waiting time, longest first."""
        return ("created_at", "id") if request.GET.get("status__exact") == Report.Status.OPEN else ("-id",)

    def title_of(self, obj: Report) -> str:
        return f"{obj.get_category_display()}: {self.excerpt(obj)}"

    def details(self, obj: Report) -> dict[str, Any]:
        address = reverse("admin:trees_message_change", args=[obj.message_id])
        words = gettext(
            "To uphold a report only records that it was right. To delete or edit the message, go to {}. {}"
        )
        link = format_html('<a class="text-link" href="{}">{}</a>', address, gettext("the page of the message"))
        return {"acts_help": format_html(words, link, gettext("To dismiss it lets the message stay."))}

    def can_do(self, action: str, obj: Report, actor: User) -> bool:
        if obj.status != Report.Status.OPEN or not may_act_in(actor, obj.message.lang):
            return False
        return action != "dismiss" or not offered_actions.is_own(obj.message, actor)

    @admin.display(description=_("What the reporter says"))
    def about(self, report: Report) -> str:
        return Truncator(" ".join(report.text.split())).chars(60) or gettext("(no words)")

    @admin.display(description=_("Status"))
    def state_of_report(self, report: Report) -> str:
        return badge(report.get_status_display(), TONES[Report.Status(report.status)])

    @admin.display(description=_("What the reporter says"))
    def report_text(self, report: Report) -> str:
        return render_plain_text(report.text)

    @admin.action(description=_("Uphold (record only)"))
    def uphold(self, request: Any, chosen: QuerySet[Report]) -> None:
        self._settle(request, chosen, Report.Status.UPHELD)

    @admin.action(description=_("Dismiss"))
    def dismiss(self, request: Any, chosen: QuerySet[Report]) -> None:
        self._settle(request, chosen, Report.Status.DISMISSED)

    def _settle(self, request: Any, chosen: QuerySet[Report], status: Report.Status) -> None:
        def act(report: Report, outcome: str) -> None:
            was_open = report.status == Report.Status.OPEN
            try:
                moderator_actions.settle_report(
                    report_id=report.pk, actor=request.user, status=status, outcome=outcome, policy=current_policy()
                )
            except Conflict:
                # An action on an earlier row about the same message may have answered this report too.
                report.refresh_from_db(fields=["status", "handled_by"])
                if not was_open or (report.status, report.handled_by_id) != (status, request.user.pk):
                    raise

        self.act_on_each(request, chosen, status.label.lower(), act)
