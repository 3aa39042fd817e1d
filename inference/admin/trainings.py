"""Admin of trainings: how far they are, their curves, what they cost, and what ended them."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from inference.admin import curves
from inference.models import TrainingRun
from inference.runs import asking, signs
from oasst.accounts.groups import ADMINISTER
from oasst.accounts.models import User
from oasst.core.read_only_admin import ReadOnlyAdmin, badge, duration_in_words

State = TrainingRun.State
TONES = {
    State.WAITING: "warning",
    State.RUNNING: "info",
    State.DONE: "success",
    State.STOPPED: "",
    State.FAILED: "danger",
}
LABELS = {
    State.WAITING: _("waits"),
    State.RUNNING: _("runs"),
    State.DONE: _("done"),
    State.STOPPED: _("stopped"),
    State.FAILED: _("failed"),
}


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnlyAdmin):
    list_display = ("asked_at", "in_state", "method", "base", "snapshot", "progress", "took", "asked_by")
    list_filter = ("state", "method")
    list_select_related = ("asked_by",)
    list_before_template = "inference/admin/trainings_list.html"
    search_fields = ("base", "snapshot")
    search_help_text = _("A piece of the name of a model or snapshot")
    # Ids begin with the time, so this is newest first without an index of its own.
    ordering = ("-id",)
    actions = ("stop", "resume")
    destructive = ("stop",)
    acting_permission = ADMINISTER
    empty_text = _("Nobody has asked for a training yet. ./manage.py train does.")
    fields = (
        *(("method", "asked_by"), ("base", "base_digest"), ("snapshot", "snapshot_digest")),
        *(("asked_at", "began_at", "ended_at"), ("host", "code_version"), ("folder", "model_digest")),
        "key",
    )
    change_form_outer_after_template = "inference/admin/training.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrainingRun]:
        return super().get_queryset(request).select_related("asked_by")

    def title_of(self, obj: TrainingRun) -> str:
        about = {"method": obj.method, "base": obj.base, "snapshot": obj.snapshot}
        return gettext("%(method)s of %(base)s on %(snapshot)s") % about

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        nobody = not signs.is_alive() and TrainingRun.objects.filter(state=State.WAITING).exists()
        return super().changelist_view(request, {**(extra_context or {}), "nobody_trains": nobody})

    def can_do(self, action: str, obj: TrainingRun, actor: User) -> bool:
        if action == "stop":
            return obj.state in (State.WAITING, State.RUNNING) and obj.stop_asked_at is None
        return obj.state in (State.STOPPED, State.FAILED)

    def details(self, obj: TrainingRun) -> dict[str, Any]:
        found = list(obj.points.order_by("step").values_list("step", "figures"))
        names, rows = curves.table_of(found)
        return {
            "run": obj,
            "state": self.in_state(obj),
            "progress": self.progress(obj),
            "is_open": obj.state in (State.WAITING, State.RUNNING),
            "nobody_trains": obj.state == State.WAITING and not signs.is_alive(),
            "seen": f"{obj.state} {obj.step} {len(found)} {obj.stop_asked_at is not None}",
            "took": self.took(obj),
            "memory": filesizeformat(obj.peak_bytes) if obj.peak_bytes else "–",
            "figures": sorted((name, f"{value:.6g}") for name, value in obj.figures.items()),
            "config": sorted((name, _in_words(value)) for name, value in obj.config.items()),
            "funnels": _funnels(obj),
            "plots": curves.draw(found, obj.steps),
            "names": names,
            "rows": rows,
        }

    @admin.display(description=_("State"))
    def in_state(self, run: TrainingRun) -> SafeString:
        if run.state == State.RUNNING and run.stop_asked_at is not None:
            return badge(gettext("stops"), "warning")
        return badge(str(LABELS[State(run.state)]), TONES[State(run.state)])

    @admin.display(description=_("Progress"))
    def progress(self, run: TrainingRun) -> str:
        """Return how far it is, such as “120 of 400 · loss 2.31”."""
        if not run.steps:
            return "–"
        words = gettext("%(step)s of %(steps)s") % {"step": f"{run.step:,}", "steps": f"{run.steps:,}"}
        loss = run.figures.get("loss")
        return words if loss is None else f"{words} · {gettext('loss')} {loss:.3g}"

    @admin.display(description=_("Took"))
    def took(self, run: TrainingRun) -> str:
        return duration_in_words(run.seconds) if run.seconds else "–"

    @admin.action(description=_("Stop"))
    def stop(self, request: Any, chosen: QuerySet[TrainingRun]) -> None:
        def act(run: TrainingRun, reason: str) -> str | None:
            now = asking.stop(run.pk, request.user, reason)
            return None if now.state == State.STOPPED else gettext("stops after its next step, with a checkpoint")

        self.act_on_each(request, chosen, gettext("stopped"), act)

    @admin.action(description=_("Go on"))
    def resume(self, request: Any, chosen: QuerySet[TrainingRun]) -> None:
        def act(run: TrainingRun, reason: str) -> None:
            asking.go_on(run.pk, request.user, reason)

        self.act_on_each(request, chosen, gettext("waits for a trainer, and goes on from its checkpoint"), act)


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, list):
        return ", ".join(map(str, value)) or gettext("all")
    return str(value)


def _funnels(run: TrainingRun) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what became of the rows, for each part of the snapshot: a name and a number."""
    return [
        (part, [(name.replace("_", " "), _in_words(value)) for name, value in _flat(found)])
        for part, found in run.funnels.items()
    ]


def _flat(found: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in found.items():
        inner = isinstance(value, dict)
        rows += _flat(value, f"{before}{name}: ") if inner else [(f"{before}{name}", value)]
    return rows
