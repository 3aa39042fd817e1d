"""Gold messages, with what people answered. Only administrators see them, since moderators review them too."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.accounts.groups import ADMINISTER
from oasst.accounts.models import User
from oasst.core.audit.reading import Target
from oasst.core.markdown.rendering import plain_excerpt
from oasst.core.read_only_admin import ReadOnlyAdmin, badge
from oasst.core.text.languages import name_of
from trees.admin.about_message import AboutMessage
from trees.admin.trees import moderate
from trees.contributing import gold
from trees.lifecycle.states import Work
from trees.models import GoldMessage
from trees.policies.reading import current_policy

WORDS = {
    Work.LABEL_INITIAL_PROMPT: _("initial prompts"),
    Work.LABEL_PROMPTER_REPLY: _("replies of users"),
    Work.LABEL_ASSISTANT_REPLY: _("replies of assistants"),
}


@admin.register(GoldMessage)
class GoldMessageAdmin(AboutMessage, ReadOnlyAdmin):
    excerpt_length = 90
    list_display = ("excerpt", "verdict", "lang", "source", "state", "answers", "changed_at")
    list_filter = ("active", "source", "good")
    search_fields = ("message__id__exact",)
    search_help_text = _("The id of a message")
    list_before_template = "trees/admin/gold_pools.html"
    ordering = ("-changed_at", "-pk")
    actions = ("end",)
    acting_permission = ADMINISTER
    empty_text = _(
        "There are none yet. In Messages, choose those whose decision is surely right, and use them as gold."
    )
    destructive = actions
    fields = (
        "message_text",
        "answered",
        ("author_of_message", "verdict"),
        ("lang", "work"),
        ("source", "state", "answers"),
        ("actor", "reason"),
        ("created_at", "changed_at"),
    )
    readonly_fields = ("message_text", "answered", "author_of_message", "verdict", "state", "answers")

    def get_queryset(self, request: HttpRequest) -> QuerySet[GoldMessage]:
        rows = gold.with_answers(super().get_queryset(request)).select_related("message", "actor")
        return rows.defer("message__search")

    def history_targets(self, obj: GoldMessage) -> list[Target]:
        """Not that of the message, which moderators read, who review gold messages too."""
        return [(obj._meta.label_lower, str(obj.pk))]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        policy = current_policy()
        pools = [
            {"lang": name_of(pool.lang), "work": WORDS[pool.work], "number": pool.number, "missing": pool.missing}
            for pool in gold.pools(policy)
        ]
        context = {"pools": pools, "needed": policy.check_least_pool, **(extra_context or {})}
        return super().changelist_view(request, context)

    def title_of(self, obj: GoldMessage) -> str:
        return gettext("Gold: %(text)s") % {"text": plain_excerpt(obj.message.text, 60)}

    def can_do(self, action: str, obj: GoldMessage, actor: User) -> bool:
        return obj.active

    @admin.display(description=_("Right verdict"))
    def verdict(self, row: GoldMessage) -> str:
        return badge(gettext("keep"), "success") if row.good else badge(gettext("reject"), "danger")

    @admin.display(description=_("State"))
    def state(self, row: GoldMessage) -> str:
        return badge(gettext("in use"), "success") if row.active else badge(gettext("ended"))

    @admin.display(description=_("Answered rightly"))
    def answers(self, row: Any) -> str:
        return f"{row.right} of {row.answers}" if row.answers else gettext("not asked yet")

    @admin.action(description=_("End: no longer gold"))
    def end(self, request: Any, chosen: QuerySet[GoldMessage]) -> None:
        moderate(self, request, chosen, gettext("ended"), gold.unmark, "message_id")
