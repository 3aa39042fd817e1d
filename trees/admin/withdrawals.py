"""The moderators' queue of withdrawn messages with replies of others."""

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
from trees.models import Withdrawal
from trees.moderation import moderator_actions, offered_actions
from trees.moderation.queries import waiting_withdrawals

TONES = {
    Withdrawal.Status.OPEN: "warning",
    Withdrawal.Status.GRANTED: "danger",
    Withdrawal.Status.REFUSED: "",
    Withdrawal.Status.UNDONE: "",
}


class Waiting(admin.SimpleListFilter):
    title = _("waits for a moderator")
    parameter_name = "waits"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", gettext("Yes"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Withdrawal]) -> QuerySet[Withdrawal]:
        return waiting_withdrawals(queryset) if self.value() else queryset


@admin.register(Withdrawal)
class WithdrawalAdmin(AboutMessage, ReadOnlyAdmin):
    list_display = ("excerpt", "status_now", "reason", "state_of_message", "created_at")
    list_filter = (Waiting, "status", ByLanguageOfMessage)
    search_fields = ("message__id__exact", "tree__id__exact")
    search_help_text = _("The id of a message or of its conversation")
    actions = ("grant", "refuse")
    destructive = ("grant",)
    fields = (
        *("status_now", "reason", "message_text", "answered"),
        *("author_of_message", ("state_of_message", "conversation")),
        *("created_at", "answer", ("decided_by", "decided_at")),
    )
    readonly_fields = (
        *("status_now", "message_text", "answered"),
        *("author_of_message", "state_of_message", "conversation"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Withdrawal]:
        rows = super().get_queryset(request).select_related("message", "tree", "decided_by")
        return rows.defer("message__search")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Sort the queue by waiting time, longest first."""
        return ("created_at", "id") if request.GET.get("waits") else ("-id",)

    def title_of(self, obj: Withdrawal) -> str:
        return gettext("Withdrawn: %(text)s") % {"text": self.excerpt(obj)}

    def can_do(self, action: str, obj: Withdrawal, actor: User) -> bool:
        return may_act_in(actor, obj.message.lang) and action in offered_actions.withdrawal_actions(obj)

    @admin.display(description=_("Status"))
    def status_now(self, withdrawal: Withdrawal) -> str:
        return badge(withdrawal.get_status_display(), TONES[Withdrawal.Status(withdrawal.status)])

    @admin.action(description=_("Remove it, with the replies below"))
    def grant(self, request: Any, chosen: QuerySet[Withdrawal]) -> None:
        moderate(self, request, chosen, gettext("removed"), moderator_actions.grant_withdrawal, "withdrawal_id")

    @admin.action(description=_("Refuse: let the text stay"))
    def refuse(self, request: Any, chosen: QuerySet[Withdrawal]) -> None:
        moderate(self, request, chosen, gettext("stays"), moderator_actions.refuse_withdrawal, "withdrawal_id")
