"""The moderators' queue of messages that many people complained about."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.accounts.models import User
from oasst.accounts.rights import may_act_in
from oasst.core.read_only_admin import ReadOnlyAdmin, badge
from trees.admin.about_message import AboutMessage
from trees.admin.filters import ByLanguageOfMessage
from trees.admin.trees import moderate
from trees.models import Proposal, Report
from trees.moderation import moderator_actions, offered_actions
from trees.moderation.queries import first_reports

Status = Proposal.Status
TONES = {Status.OPEN: "warning", Status.HIDDEN: "success", Status.UPHELD: "success", Status.DISMISSED: ""}


@admin.register(Proposal)
class ProposalAdmin(AboutMessage, ReadOnlyAdmin):
    list_display = ("excerpt", "status_now", "kind", "voices", "meanwhile", "state_of_message", "created_at")
    list_filter = ("status", "kind", "hides", ByLanguageOfMessage)
    search_fields = ("message__id__exact", "tree__id__exact")
    search_help_text = _("The id of a message or of its conversation")
    actions = ("uphold", "dismiss")
    destructive = ("uphold",)
    change_form_outer_after_template = "trees/admin/proposal.html"
    fields = (
        *(("status_now", "kind"), ("voices", "meanwhile"), "message_text", "answered"),
        *("author_of_message", ("state_of_message", "conversation")),
        *("created_at", "reason", ("decided_by", "decided_at")),
    )
    readonly_fields = (
        *("status_now", "meanwhile", "message_text", "answered"),
        *("author_of_message", "state_of_message", "conversation"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Proposal]:
        rows = super().get_queryset(request).select_related("message", "tree", "decided_by")
        return rows.defer("message__search")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Sort the queue by waiting time, longest first."""
        return ("created_at", "id") if request.GET.get("status__exact") == Proposal.Status.OPEN else ("-id",)

    def title_of(self, obj: Proposal) -> str:
        return f"{obj.get_kind_display()}: {self.excerpt(obj)}"

    def details(self, obj: Proposal) -> dict[str, Any]:
        reports, more = first_reports(Report.objects.filter(message=obj.message_id))
        return {"reports": reports, "more": more}

    def can_do(self, action: str, obj: Proposal, actor: User) -> bool:
        if obj.status != Proposal.Status.OPEN or obj.message.deleted or not may_act_in(actor, obj.message.lang):
            return False
        return action != "dismiss" or not offered_actions.is_own(obj.message, actor)

    @admin.display(description=_("Status"))
    def status_now(self, proposal: Proposal) -> str:
        return badge(proposal.get_status_display(), TONES[Status(proposal.status)])

    @admin.display(description=_("While it is open"))
    def meanwhile(self, proposal: Proposal) -> str:
        parts = {gettext("the message is hidden"): proposal.hides, gettext("the conversation waits"): proposal.stops}
        return ", ".join(part for part, is_so in parts.items() if is_so) or gettext("everything goes on")

    @admin.action(description=_("Remove the message, with everything below"))
    def uphold(self, request: Any, chosen: QuerySet[Proposal]) -> None:
        moderate(self, request, chosen, gettext("removed"), moderator_actions.uphold, "proposal_id")

    @admin.action(description=_("Let the message stay"))
    def dismiss(self, request: Any, chosen: QuerySet[Proposal]) -> None:
        moderate(self, request, chosen, gettext("stays"), moderator_actions.dismiss, "proposal_id")
