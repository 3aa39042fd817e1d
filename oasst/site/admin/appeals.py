"""The moderators' queue of appeals against suspensions."""

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from oasst.accounts import appeals
from oasst.accounts.administrator_bans import needs_confirmation
from oasst.accounts.authentication.proof import is_recently_proved
from oasst.accounts.authentication.reauthentication import redirect_to_proof
from oasst.accounts.models import Appeal, Role, User
from oasst.accounts.roles import has_higher_rank
from oasst.core.read_only_admin import ReadOnlyAdmin, ReasonForm, badge, render_person, render_plain_text
from oasst.site.admin.people import PROPOSED
from trees.moderation import bans

TONES = {Appeal.Status.OPEN: "warning", Appeal.Status.GRANTED: "success", Appeal.Status.REFUSED: ""}


class AnswerForm(ReasonForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].widget.attrs.update(
            {"placeholder": "What do you answer? (required, the person reads it)", "aria-label": "Answer"}
        )


@admin.register(Appeal)
class AppealAdmin(ReadOnlyAdmin):
    """To grant an appeal lifts the suspension. The answer is shown and mailed to the person."""

    action_form = AnswerForm
    reason_label = "Answer, which the person reads"
    list_display = ("person", "standing", "excerpt", "ban_reason", "created_at")
    list_filter = ("status",)
    list_select_related = ("user",)
    search_fields = ("user__id__exact", "user__display_name", "text")
    search_help_text = "A piece of the text or of the name of the person, or their id"
    actions = ("grant", "refuse")
    destructive = ("refuse",)
    empty_text = "Nobody has appealed."
    fields = (
        *("person", "standing", "ban_reason", "banned_by", "words", "created_at"),
        *("answer", ("decided_by", "decided_at")),
    )
    readonly_fields = ("person", "standing", "ban_reason", "banned_by", "words")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Sort the queue by waiting time, longest first."""
        return ("created_at", "id") if request.GET.get("status__exact") == Appeal.Status.OPEN else ("-id",)

    def title_of(self, obj: Appeal) -> str:
        return f"{obj.user}: {obj.text}"

    def can_do(self, action: str, obj: Appeal, actor: User) -> bool:
        if obj.status != Appeal.Status.OPEN:
            return False
        may_propose = action == "grant" and needs_confirmation(obj.user, actor)
        return has_higher_rank(actor, obj.user) or may_propose

    @admin.display(description="Who")
    def person(self, appeal: Appeal) -> SafeString:
        return render_person(appeal.user)

    @admin.display(description="Status")
    def standing(self, appeal: Appeal) -> SafeString:
        return badge(appeal.get_status_display(), TONES[Appeal.Status(appeal.status)])

    @admin.display(description="What they say")
    def excerpt(self, appeal: Appeal) -> str:
        return Truncator(" ".join(appeal.text.split())).chars(80)

    @admin.display(description="What they say")
    def words(self, appeal: Appeal) -> SafeString:
        return render_plain_text(appeal.text)

    @admin.display(description="Reason of the suspension")
    def ban_reason(self, appeal: Appeal) -> str:
        return appeal.user.ban_reason or "–"

    @admin.display(description="Suspended by")
    def banned_by(self, appeal: Appeal) -> str:
        ban = appeal.user.bans.filter(at__lte=appeal.created_at).select_related("actor").order_by("-at").first()
        return str(ban.actor) if ban and ban.actor else "the operator or a program"

    @admin.action(description="Lift the suspension")
    def grant(self, request: Any, chosen: QuerySet[Appeal]) -> Any:
        if chosen.filter(user__role=Role.ADMIN).exists() and not is_recently_proved(request):
            return redirect_to_proof(request)

        def act(appeal: Appeal, answer: str) -> str | None:
            if appeal.status != Appeal.Status.OPEN:  # the service sees only the ban
                with transaction.atomic():
                    appeals.lock_open_appeal(appeal.pk)
            return None if bans.unban(appeal.user, actor=request.user, reason=answer) else PROPOSED

        return self.act_on_each(request, chosen, "may take part again", act)

    @admin.action(description="Let the suspension stay")
    def refuse(self, request: Any, chosen: QuerySet[Appeal]) -> None:
        def act(appeal: Appeal, answer: str) -> None:
            appeals.refuse(appeal.pk, actor=request.user, answer=answer)

        self.act_on_each(request, chosen, "answered; the suspension stays", act)
