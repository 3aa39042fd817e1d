"""Questions of chats that were answered badly, for staff to take as prompts. Nobody sees whose they are."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.accounts.models import User
from oasst.accounts.rights import may_act_in
from oasst.core.markdown.rendering import plain_excerpt
from oasst.core.read_only_admin import ReadOnlyAdmin, badge, render_message
from trees import hard_prompts
from trees.admin.trees import tree_link
from trees.models import HardPrompt
from trees.policies.reading import current_policy

TONES = {
    HardPrompt.Status.OPEN: "warning",
    HardPrompt.Status.TAKEN: "success",
    HardPrompt.Status.REFUSED: "",
}


@admin.register(HardPrompt)
class HardPromptAdmin(ReadOnlyAdmin):
    list_display = ("excerpt", "reasons", "lang", "status_now", "proposed_at")
    list_filter = ("status",)
    search_fields = ("text",)
    search_help_text = _("A piece of the question")
    ordering = ("-proposed_at", "-pk")
    actions = ("take", "refuse")
    empty_text = _("Nothing is proposed. Each night the site looks for questions that the assistant answered badly.")
    fields = (
        *("question_text", "reasons", ("lang", "status_now"), "conversation"),
        *("reason", ("decided_by", "decided_at"), "proposed_at"),
    )
    readonly_fields = ("question_text", "reasons", "status_now", "conversation")

    def get_queryset(self, request: HttpRequest) -> QuerySet[HardPrompt]:
        return hard_prompts.usable(super().get_queryset(request)).select_related("decided_by")

    def title_of(self, obj: HardPrompt) -> str:
        return plain_excerpt(obj.text, 60) or gettext("A question that was decided about")

    def can_do(self, action: str, obj: HardPrompt, actor: User) -> bool:
        return obj.status == HardPrompt.Status.OPEN and may_act_in(actor, obj.lang)

    @admin.display(description=_("Question"))
    def excerpt(self, row: HardPrompt) -> str:
        return self.title_of(row)

    @admin.display(description=_("Question, with personal data masked"))
    def question_text(self, row: HardPrompt) -> str:
        return render_message(row.text) if row.text else gettext("It was decided about.")

    @admin.display(description=_("Why"))
    def reasons(self, row: HardPrompt) -> str:
        return ", ".join(str(HardPrompt.Why(why).label) for why in row.why)

    @admin.display(description=_("Status"))
    def status_now(self, row: HardPrompt) -> str:
        return badge(row.get_status_display(), TONES[HardPrompt.Status(row.status)])

    @admin.display(description=_("What it became"))
    def conversation(self, row: HardPrompt) -> str:
        return tree_link(row.tree_id, gettext("Open the conversation")) if row.tree_id else "–"

    @admin.action(description=_("Take it as a prompt"))
    def take(self, request: Any, chosen: QuerySet[HardPrompt]) -> None:
        def act(row: HardPrompt, reason: str) -> None:
            hard_prompts.take(proposal_id=row.pk, actor=request.user, reason=reason, policy=current_policy())

        self.act_on_each(request, chosen, gettext("taken"), act)

    @admin.action(description=_("No"))
    def refuse(self, request: Any, chosen: QuerySet[HardPrompt]) -> None:
        def act(row: HardPrompt, reason: str) -> None:
            hard_prompts.refuse(proposal_id=row.pk, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, gettext("not taken"), act)
