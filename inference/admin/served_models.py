"""Admin of the models: what each is made of, what its evaluation said, and who may choose it."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from inference.engine import weights
from inference.engine.base import EngineError
from inference.folders import folder_of_row
from inference.models import Evaluation, ServedModel
from inference.registry import offer, stages
from inference.registry.lineage import Ancestor, lineage_of
from oasst.accounts.groups import ADMINISTER
from oasst.core.audit.reading import entries_about
from oasst.core.read_only_admin import ReadOnlyAdmin, badge

Stage = ServedModel.Stage
TONES = {Stage.NOBODY: "", Stage.STAFF: "info", Stage.SHARE: "warning", Stage.ALL: "success"}
_ACTIONS = {"to_staff": Stage.STAFF, "to_share": Stage.SHARE, "to_everybody": Stage.ALL, "withdraw": Stage.NOBODY}
_STAGE_ACTS = ("model.stage", "model.roll_back")


@admin.register(ServedModel)
class ServedModelAdmin(ReadOnlyAdmin):
    list_display = ("name", "standing", "origin", "parent_name", "on_disk", "verdict", "since")
    list_filter = ("stage", "origin")
    search_fields = ("name",)
    ordering = ("name",)
    list_per_page = 25
    list_before_template = "inference/admin/better_model.html"
    actions = (*_ACTIONS, "roll_back")
    acting_permission = ADMINISTER
    destructive = ("withdraw", "roll_back")
    reason_label = _("Why")
    empty_text = _("No model is known yet. The site adds the one of its settings when it starts.")
    fields = (("standing", "origin"), ("license", "on_disk"), ("since", "staged_at"), "digest")
    readonly_fields = ("standing", "on_disk")
    change_form_outer_after_template = "inference/admin/model.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        verdicts = Evaluation.objects.filter(model=OuterRef("pk"), passed__isnull=False).order_by("-created_at", "-pk")
        return super().get_queryset(request).annotate(passed=Subquery(verdicts.values("passed")[:1]))

    def can_do(self, action: str, obj: ServedModel, actor: Any) -> bool:
        if action == "roll_back":
            last = stages.last_change()
            return last is not None and last.pk == obj.pk
        wanted = _ACTIONS[action]
        is_of_settings = obj.name == settings.OASST_CHAT_MODEL
        return obj.stage != wanted and not (is_of_settings and wanted in (Stage.STAFF, Stage.SHARE))

    def details(self, obj: ServedModel) -> dict[str, Any]:
        changes = entries_about(self.history_targets(obj)).filter(act__in=_STAGE_ACTS)
        return {
            "lineage": [(one, _url_of_run(one)) for one in lineage_of(obj)],
            "evaluations": obj.evaluations.order_by("-created_at", "-pk")[:10],
            "last_change": changes.first(),
            "is_default": obj.name == offer.default_model(),
        }

    @admin.display(description=_("For"))
    def standing(self, model: ServedModel) -> str:
        if model.stage == Stage.NOBODY and model.name == settings.OASST_CHAT_MODEL:
            return badge(gettext("Everybody, by the settings"), "success")
        words = str(model.get_stage_display())
        if model.stage == Stage.SHARE:
            words = gettext("%(share)d %% of the users") % {"share": model.share}
        return badge(words, TONES[Stage(model.stage)])

    @admin.display(description=_("Trained from"))
    def parent_name(self, model: ServedModel) -> str:
        return model.parent_id or ""

    @admin.display(description=_("Weights"))
    def on_disk(self, model: ServedModel) -> str:
        # The folder of the row, without a statement for each.
        try:
            folder = folder_of_row(model)
        except EngineError:
            return gettext("missing")
        size = weights.stored_bytes(folder)
        return filesizeformat(size) if size else gettext("missing")

    @admin.display(description=_("Gate"))
    def verdict(self, model: Any) -> str:
        if model.passed is None:
            return ""
        return badge(gettext("passed"), "success") if model.passed else badge(gettext("not passed"), "danger")

    @admin.action(description=_("Offer to staff"))
    def to_staff(self, request: Any, chosen: QuerySet[ServedModel]) -> None:
        self.act_on_each(request, chosen, gettext("offered to staff"), self._staging(request, Stage.STAFF))

    @admin.action(description=_("Offer to a share"))
    def to_share(self, request: Any, chosen: QuerySet[ServedModel]) -> None:
        self.act_on_each(request, chosen, gettext("offered to a share of the users"), self._staging(request, "share"))

    @admin.action(description=_("Offer to everybody"))
    def to_everybody(self, request: Any, chosen: QuerySet[ServedModel]) -> None:
        done = gettext("offered to everybody, and the default now")
        self.act_on_each(request, chosen, done, self._staging(request, Stage.ALL))

    @admin.action(description=_("Withdraw"))
    def withdraw(self, request: Any, chosen: QuerySet[ServedModel]) -> None:
        self.act_on_each(request, chosen, gettext("withdrawn"), self._staging(request, Stage.NOBODY))

    @admin.action(description=_("Take the last change back"))
    def roll_back(self, request: Any, chosen: QuerySet[ServedModel]) -> None:
        def act(model: ServedModel, reason: str) -> None:
            stages.roll_back(request.user, reason, name=model.pk)

        self.act_on_each(request, chosen, gettext("taken back"), act)

    def _staging(self, request: Any, stage: str) -> Callable[[ServedModel, str], object]:
        return lambda model, reason: stages.set_stage(model.pk, stage, by=request.user, reason=reason)


def _url_of_run(one: Ancestor) -> str:
    """Return the address of the page of the training, or an empty string."""
    try:
        return reverse("admin:inference_trainingrun_change", args=[one.run.pk]) if one.run else ""
    except NoReverseMatch:
        return ""
