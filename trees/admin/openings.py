"""The work that is open: one row for each person that a message still needs."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from oasst.core.list_filters import FILTER_FORM, FormChangeList, FormFilter
from oasst.core.read_only_admin import ReadOnlyAdmin
from trees.admin.about_message import AboutMessage
from trees.admin.filters import ByLanguage
from trees.lifecycle.states import Work
from trees.models import Opening
from trees.moderation.badges import WORKS


class ByWork(FormFilter):
    title = _("work")
    parameter_name = "work"
    options = tuple((work.value, label) for work, label in WORKS.items())

    def condition(self, value: str) -> Q | None:
        return Q(work=value)


class ByHold(FormFilter):
    title = _("held by somebody")
    parameter_name = "held"
    options = (("1", _("Yes")), ("0", _("No")))

    def condition(self, value: str) -> Q | None:
        held = Q(held_until__gt=timezone.now())
        return {"1": held, "0": Q(held_until=None) | ~held}.get(value)


@admin.register(Opening)
class OpeningAdmin(AboutMessage, ReadOnlyAdmin):
    list_display = ("excerpt", "what", "lang", "priority", "created_at", "holder", "held_until")
    change_list_template = FILTER_FORM
    list_filter = (ByWork, ByLanguage, ByHold)
    search_fields = ("message__id__exact", "tree__id__exact")
    search_help_text = _("The id of a message or of a conversation")
    ordering = ("lang", "work", "-priority", "deferred", "id")
    fields = (
        *("message_text", "answered", ("author_of_message", "conversation")),
        *(("what", "lang"), ("priority", "deferred"), ("holder", "held_until"), "created_at"),
    )
    readonly_fields = ("message_text", "answered", "author_of_message", "conversation", "what")
    empty_text = _("No conversation waits for anybody.")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[FormChangeList]:
        return FormChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Opening]:
        rows = super().get_queryset(request).select_related("message", "holder")
        return rows.defer("message__search", "message__text_digest", "message__imported")

    @admin.display(description=_("Work"))
    def what(self, opening: Opening) -> str:
        return str(WORKS[Work(opening.work)])
