"""Admin of presets and votes, without the texts of answers."""

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from inference.models import Preset, Vote
from oasst.core.read_only_admin import ReadOnlyAdmin, badge


@admin.register(Preset)
class PresetAdmin(ReadOnlyAdmin):
    list_display = ("name", "user", "sampling", "created_at")
    list_select_related = ("user",)
    search_fields = ("name",)
    ordering = ("-id",)
    fields = ("name", "user", "sampling", "created_at", "id")


@admin.register(Vote)
class VoteAdmin(ReadOnlyAdmin):
    list_display = ("thumb", "model_of_answer", "user", "voted_at")
    list_filter = ("score",)
    list_select_related = ("user", "message__turn")
    ordering = ("-id",)
    fields = ("thumb", "model_of_answer", "user", "voted_at")
    readonly_fields = ("thumb", "model_of_answer")

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).defer("message__content")

    @admin.display(description=_("Thumb"))
    def thumb(self, vote: Vote) -> str:
        return badge(gettext("up"), "success") if vote.score > 0 else badge(gettext("down"), "danger")

    @admin.display(description=_("Model"))
    def model_of_answer(self, vote: Vote) -> str:
        return vote.message.turn.model
