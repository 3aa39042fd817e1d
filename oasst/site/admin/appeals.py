"""The moderators' queue of appeals against suspensions and other decisions."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.accounts.administrator_bans import needs_confirmation
from oasst.accounts.authentication.proof import is_recently_proved
from oasst.accounts.authentication.reauthentication import redirect_to_proof
from oasst.accounts.models import Appeal, Role, User
from oasst.accounts.roles import has_higher_rank
from oasst.core.audit.acts import label_of
from oasst.core.audit.reading import Target
from oasst.core.read_only_admin import ReadOnlyAdmin, ReasonForm, badge, render_person, render_plain_text
from oasst.site.admin.people import PROPOSED
from trees.moderation import appealing, bans
from trees.policies.reading import current_policy

_PAGES = {
    "trees.message": "admin:trees_message_change",
    "trees.messagetree": "admin:trees_messagetree_change",
    "accounts.accountwarning": "admin:accounts_accountwarning_change",
}
TONES = {Appeal.Status.OPEN: "warning", Appeal.Status.GRANTED: "success", Appeal.Status.REFUSED: ""}


class AnswerForm(ReasonForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].widget.attrs.update(
            {
                "placeholder": gettext("What do you answer? (required, the person reads it)"),
                "aria-label": gettext("Answer"),
            }
        )


@admin.register(Appeal)
class AppealAdmin(ReadOnlyAdmin):
    """To grant an appeal lifts the suspension, or undoes the decision. The answer is shown and mailed to the person."""

    action_form = AnswerForm
    reason_label = _("Answer, which the person reads")
    list_display = ("person", "standing", "about", "excerpt", "decision_reason", "created_at")
    list_filter = ("status",)
    list_select_related = ("user", "entry__text", "entry__actor")
    search_fields = ("user__id__exact", "user__display_name", "text")
    search_help_text = _("A piece of the text or of the name of the person, or their id")
    actions = ("grant", "grant_only", "refuse")
    destructive = ("refuse",)
    empty_text = _("Nobody has appealed.")
    fields = (
        *("person", "standing", "about", "decision_reason", "decided_first_by", "words", "created_at"),
        *("answer", ("decided_by", "decided_at")),
    )
    readonly_fields = ("person", "standing", "about", "decision_reason", "decided_first_by", "words")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Sort the queue by waiting time, longest first."""
        return ("created_at", "id") if request.GET.get("status__exact") == Appeal.Status.OPEN else ("-id",)

    def history_targets(self, obj: Appeal) -> list[Target]:
        return [*super().history_targets(obj), (User._meta.label_lower, str(obj.user_id))]

    def title_of(self, obj: Appeal) -> str:
        return f"{obj.user}: {obj.text}"

    def can_do(self, action: str, obj: Appeal, actor: User) -> bool:
        if obj.status != Appeal.Status.OPEN:
            return False
        if obj.entry_id is not None:
            return obj.user_id != actor.pk and appealing.may_answer(obj, actor)
        if action == "grant_only":
            return False
        may_propose = action == "grant" and needs_confirmation(obj.user, actor)
        return has_higher_rank(actor, obj.user) or may_propose

    @admin.display(description=_("Who"))
    def person(self, appeal: Appeal) -> SafeString:
        return render_person(appeal.user)

    @admin.display(description=_("Status"))
    def standing(self, appeal: Appeal) -> SafeString:
        return badge(appeal.get_status_display(), TONES[Appeal.Status(appeal.status)])

    @admin.display(description=_("What they say"))
    def excerpt(self, appeal: Appeal) -> str:
        return Truncator(" ".join(appeal.text.split())).chars(80)

    @admin.display(description=_("What they say"))
    def words(self, appeal: Appeal) -> SafeString:
        return render_plain_text(appeal.text)

    @admin.display(description=_("Against"))
    def about(self, appeal: Appeal) -> str | SafeString:
        """What was decided, with a link to what it is about."""
        entry = appeal.entry
        if entry is None:
            return gettext("a suspension")
        label, page = label_of(entry.act), _PAGES.get(entry.target_type)
        url = reverse(page, args=[entry.target_id]) if page else ""
        return format_html('<a class="text-link" href="{}">{}</a>', url, label) if url else label

    @admin.display(description=_("Reason of the decision"))
    def decision_reason(self, appeal: Appeal) -> str:
        reason = appeal.user.ban_reason if appeal.entry is None else appeal.entry.text.reason
        return reason or "–"

    @admin.display(description=_("Decided by"))
    def decided_first_by(self, appeal: Appeal) -> str:
        if appeal.entry is not None:
            actor = appeal.entry.actor
        else:
            ban = appeal.user.bans.filter(at__lte=appeal.created_at).select_related("actor").order_by("-at").first()
            actor = ban.actor if ban else None
        return str(actor) if actor else gettext("the operator or a program")

    @admin.action(description=_("Grant: lift the suspension, or undo the decision"))
    def grant(self, request: Any, chosen: QuerySet[Appeal]) -> Any:
        if chosen.filter(user__role=Role.ADMIN, entry=None).exists() and not is_recently_proved(request):
            return redirect_to_proof(request)

        def act(appeal: Appeal, answer: str) -> str | None:
            if appeal.entry_id is None:
                done = bans.grant_appeal(appeal.pk, actor=request.user, answer=answer)
                return None if done else str(PROPOSED)
            appealing.grant(appeal.pk, actor=request.user, answer=answer, policy=current_policy())
            return gettext("granted; the decision is undone")

        return self.act_on_each(request, chosen, gettext("may take part again"), act)

    @admin.action(description=_("Grant, but undo nothing (others have gone on from it)"))
    def grant_only(self, request: Any, chosen: QuerySet[Appeal]) -> None:
        def act(appeal: Appeal, answer: str) -> None:
            policy = current_policy()
            appealing.grant(appeal.pk, actor=request.user, answer=answer, policy=policy, undoes=False)

        self.act_on_each(request, chosen, gettext("granted; nothing is undone"), act)

    @admin.action(description=_("Refuse: it stays as it is"))
    def refuse(self, request: Any, chosen: QuerySet[Appeal]) -> None:
        def act(appeal: Appeal, answer: str) -> None:
            appealing.refuse(appeal.pk, actor=request.user, answer=answer)

        self.act_on_each(request, chosen, gettext("answered; it stays as it is"), act)
