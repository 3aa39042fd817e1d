"""Comparisons and boards of models, to read. Chats are private, so no text is shown."""

from django.contrib import admin

from inference.models import Battle, BattleBoard
from oasst.core.read_only_admin import ReadOnlyAdmin


@admin.register(Battle)
class BattleAdmin(ReadOnlyAdmin):
    list_display = ("begun_at", "user", "lang", "left_model", "right_model", "outcome", "is_check")
    list_filter = ("outcome", "is_check")
    list_select_related = ("user",)
    ordering = ("-id",)
    fields = (
        *(("user", "lang"), ("left_model", "left_preset"), ("right_model", "right_preset")),
        *(("outcome", "is_check"), "why", ("begun_at", "judged_at"), "id"),
    )


@admin.register(BattleBoard)
class BattleBoardAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "battles", "people", "rated_at")
    ordering = ("lang",)
    fields = (("lang", "rated_at"), ("battles", "people"), "standing", "styles")
