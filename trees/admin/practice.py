"""The messages that administrators chose for practice, with their explanations."""

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.accounts.groups import ADMINISTER
from oasst.accounts.models import User
from oasst.core.markdown.rendering import plain_excerpt
from oasst.core.read_only_admin import ReadOnlyAdmin, badge, render_plain_text
from trees.admin.about_message import AboutMessage
from trees.admin.trees import moderate
from trees.contributing import practice_texts
from trees.models import PracticeText


@admin.register(PracticeText)
class PracticeTextAdmin(AboutMessage, ReadOnlyAdmin):
    excerpt_length = 90
    list_display = ("excerpt", "exercise", "lang", "state", "actor", "changed_at")
    list_filter = ("active", "exercise")
    search_fields = ("message__id__exact",)
    search_help_text = _("The id of a message")
    ordering = ("-changed_at", "-pk")
    actions = ("explain", "end")
    acting_permission = ADMINISTER
    empty_text = _(
        "There are none yet: practice uses the examples that ship with the software. In Messages, choose accepted ones "
        "that teach something, write why beside the action, and use them for practice."
    )
    destructive = ("end",)
    reason_label = _("Reason, or the explanation that people read")
    fields = (
        *("message_text", "answered", "explanation_text", ("exercise", "work"), ("lang", "state")),
        *("actor", ("created_at", "changed_at")),
    )
    readonly_fields = ("message_text", "answered", "explanation_text", "state")

    def get_queryset(self, request: HttpRequest) -> QuerySet[PracticeText]:
        rows = super().get_queryset(request).select_related("message", "actor").defer("message__search")
        return rows.annotate(is_current=F("message__revision"))

    def title_of(self, obj: PracticeText) -> str:
        return gettext("Practice: %(text)s") % {"text": plain_excerpt(obj.message.text, 60)}

    def can_do(self, action: str, obj: PracticeText, actor: User) -> bool:
        return obj.active

    @admin.display(description=_("State"))
    def state(self, row: Any) -> str:
        if not row.active:
            return badge(gettext("ended"))
        if row.is_current != row.revision_id:
            return badge(gettext("edited since: choose it again"), "warning")
        return badge(gettext("in use"), "success")

    @admin.display(description=_("Explanation"))
    def explanation_text(self, row: PracticeText) -> str:
        return render_plain_text(row.explanation)

    @admin.action(description=_("Replace the explanation by the text beside"))
    def explain(self, request: Any, chosen: QuerySet[PracticeText]) -> None:
        moderate(self, request, chosen, gettext("explained"), practice_texts.explain, "text_id")

    @admin.action(description=_("End: no longer for practice"))
    def end(self, request: Any, chosen: QuerySet[PracticeText]) -> None:
        moderate(self, request, chosen, gettext("ended"), practice_texts.end, "text_id")
