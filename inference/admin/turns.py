"""Admin of turns, without their texts, and of the engines."""

from datetime import datetime

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from redis.exceptions import RedisError

from inference import queries
from inference.models import Turn
from inference.policy import current_policy
from inference.turns import status
from inference.turns.states import TurnState
from oasst.core.errors import NotAllowed
from oasst.core.read_only_admin import ReadOnlyAdmin, badge

TONES = {
    TurnState.PENDING: "warning",
    TurnState.IN_PROGRESS: "info",
    TurnState.COMPLETE: "success",
    TurnState.STOPPED: "",
    TurnState.CANCELLED: "",
    TurnState.TIMED_OUT: "danger",
    TurnState.FAILED: "danger",
}


@admin.register(Turn)
class TurnAdmin(ReadOnlyAdmin):
    list_display = ("queued_at", "in_state", "user", "waited", "first_text", "took", "tokens", "trouble")
    list_filter = ("state",)
    search_fields = ("message__id__exact", "user__id__exact")
    search_help_text = _("The id of an answer or of a person")
    # Ids begin with the time, so this is newest first without an index of its own.
    ordering = ("-message_id",)
    fields = (
        *(("in_state", "by_program"), ("user", "model"), "sampling", ("queued_at", "deadline_at")),
        *(("waited", "first_text", "took"), ("finish_reason", "ended_at"), ("error_code", "error")),
        *(("prompt_tokens", "completion_tokens", "dropped_messages"), ("owner", "lease_until", "fruitless_claims")),
        "wanted_until",
        "message_id",
    )
    readonly_fields = ("in_state", "waited", "first_text", "took", "message_id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Turn]:
        rows = super().get_queryset(request).select_related("user")
        return rows.defer("prompt", "system_prompt", "text", "token_ids")

    def get_urls(self) -> list[URLPattern]:
        engine_view = self.admin_site.admin_view(self.engine_view)
        return [path("engine/", engine_view, name="inference_engine"), *super().get_urls()]

    def title_of(self, obj: Turn) -> str:
        return gettext("Answer of %(time)s") % {"time": f"{obj.queued_at:%Y-%m-%d %H:%M}"}

    def engine_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise NotAllowed(gettext("This is for administrators."), code="admins_only")
        try:
            engines, unreachable = status.engines(), False
        except RedisError:
            engines, unreachable = [], True
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Engines"),
            "opts": self.opts,
            "queue": status.queue(),
            "limit": current_policy().queue_limit,
            "next_wait": queries.expected_wait(1),
            "engines": engines,
            "away": unreachable,
            "running": sum(engine.running for engine in engines),
            "slots": sum(engine.slots for engine in engines),
            "tokens_per_second": sum(engine.tokens_per_second for engine in engines),
            "lately": status.recent_answers(),
            "troubles": status.recent_errors(),
        }
        return render(request, "inference/admin/engine.html", context)

    @admin.display(description=_("State"))
    def in_state(self, turn: Turn) -> str:
        return badge(turn.state.replace("_", " "), TONES[TurnState(turn.state)])

    @admin.display(description=_("Waited"))
    def waited(self, turn: Turn) -> str:
        return _between(turn.queued_at, turn.began_at)

    @admin.display(description=_("First text after"))
    def first_text(self, turn: Turn) -> str:
        return _between(turn.queued_at, turn.first_text_at)

    @admin.display(description=_("Took"))
    def took(self, turn: Turn) -> str:
        return _between(turn.began_at, turn.ended_at)

    @admin.display(description=_("Tokens"))
    def tokens(self, turn: Turn) -> str:
        return f"{turn.prompt_tokens} + {turn.completion_tokens}"

    @admin.display(description=_("Error"))
    def trouble(self, turn: Turn) -> str:
        return turn.error_code


def _between(since: datetime | None, until: datetime | None) -> str:
    return f"{(until - since).total_seconds():.2f} s" if since and until else "–"
