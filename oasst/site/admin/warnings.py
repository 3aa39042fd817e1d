"""Warnings that moderators gave, and taking them back."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.accounts import warnings
from oasst.accounts.models import AccountWarning, User
from oasst.accounts.roles import has_higher_rank
from oasst.core.read_only_admin import ReadOnlyAdmin, badge, render_person, render_plain_text


@admin.register(AccountWarning)
class AccountWarningAdmin(ReadOnlyAdmin):
    """A moderator warns on the page of the person, or at the desk."""

    list_display = ("person", "standing", "reason", "actor", "at")
    list_select_related = ("user", "actor")
    search_fields = ("user__id__exact", "user__display_name", "reason")
    search_help_text = _("A piece of the reason or of the name of the person, or their id")
    ordering = ("-id",)
    actions = ("withdraw",)
    destructive = ("withdraw",)
    empty_text = _("Nobody was warned.")
    fields = (
        *("person", "standing", "words", "about", "message", "actor", ("at", "confirmed_at")),
        *(("withdrawn_at", "withdrawn_by"), "withdraw_reason"),
    )
    readonly_fields = ("person", "standing", "words", "message")

    def title_of(self, obj: AccountWarning) -> str:
        return f"{obj.user}: {obj.reason}"

    def can_do(self, action: str, obj: AccountWarning, actor: User) -> bool:
        return obj.withdrawn_at is None and has_higher_rank(actor, obj.user)

    @admin.display(description=_("Who"))
    def person(self, warning: AccountWarning) -> SafeString:
        return render_person(warning.user)

    @admin.display(description=_("Status"))
    def standing(self, warning: AccountWarning) -> SafeString:
        if warning.withdrawn_at is not None:
            return badge(gettext("taken back"))
        return badge(gettext("read"), "success") if warning.confirmed_at else badge(gettext("not read yet"), "warning")

    @admin.display(description=_("What the moderator wrote"))
    def words(self, warning: AccountWarning) -> SafeString:
        return render_plain_text(warning.reason)

    @admin.display(description=_("Message"))
    def message(self, warning: AccountWarning) -> SafeString | str:
        if warning.subject_id is None:
            return "–"
        url = reverse("admin:trees_message_change", args=[warning.subject_id])
        return format_html('<a class="text-link" href="{}">{}</a>', url, gettext("Open"))

    @admin.action(description=_("Take it back"))
    def withdraw(self, request: Any, chosen: QuerySet[AccountWarning]) -> None:
        def act(row: AccountWarning, reason: str) -> None:
            warnings.withdraw_warning(row.pk, request.user, reason)

        self.act_on_each(request, chosen, gettext("taken back"), act)
