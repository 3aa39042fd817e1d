"""What machines predict that reviewers will say: how good the predictions are, and each beside its message."""

from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.core.read_only_admin import ReadOnlyAdmin, badge
from oasst.core.text.languages import name_of
from trees.admin import calibration_plot
from trees.admin.filters import ByPrediction
from trees.models import Message, QualityModel
from trees.quality.learning import LEAST_OF_EACH, LEAST_TEXTS
from trees.quality.scores import Prediction, bins_of, count_scores, predictions_about

TONES = {
    QualityModel.State.IN_FORCE: "success",
    QualityModel.State.NO_BETTER: "warning",
    QualityModel.State.TOO_FEW: "",
}
LINK = '<a class="text-link" href="{}">{}</a>'


@admin.register(QualityModel)
class QualityModelAdmin(ReadOnlyAdmin):
    list_display = ("target", "language", "status", "texts", "error_saved", "auc", "learned_at")
    ordering = ("target", "lang")
    empty_text = format_lazy(
        _("Nothing is learned yet. It takes {number} decided texts with vectors; learn_quality says more."),
        number=LEAST_TEXTS,
    )
    fields = (
        *("target", "language", "status", ("texts", "mean"), "error_saved", "errors", "auc", "lowest"),
        *("version", "embedding_model", "learned_at"),
    )
    readonly_fields = ("language", "status", "mean", "error_saved", "errors", "auc", "lowest")
    change_form_outer_after_template = "trees/admin/quality_model.html"

    def details(self, obj: QualityModel) -> dict[str, Any]:
        bins = bins_of(obj)
        waiting, likely_rejected = count_scores()
        return {
            "bins": bins,
            "plot": calibration_plot.draw(bins) if bins else None,
            "is_verdict": obj.target == QualityModel.Target.ACCEPTED,
            "least_texts": LEAST_TEXTS,
            "least_of_each": LEAST_OF_EACH,
            "waiting": waiting,
            "likely_rejected": likely_rejected,
            "list_url": reverse(
                "admin:trees_message_changelist", query={ByPrediction.parameter_name: ByPrediction.REJECTED}
            ),
        }

    @admin.display(description=_("Language"))
    def language(self, model: QualityModel) -> str:
        return name_of(model.lang) if model.lang else gettext("all without a model of their own")

    @admin.display(description=_("State"))
    def status(self, model: QualityModel) -> SafeString:
        return badge(model.get_state_display(), TONES[QualityModel.State(model.state)])

    @admin.display(description=_("On average"))
    def mean(self, model: QualityModel) -> str | None:
        return _figure(model, "{mean:.3f}")

    @admin.display(description=_("Error saved"))
    def error_saved(self, model: QualityModel) -> str | None:
        return _figure(model, "{skill:.1%} ({skill_low:.1%} to {skill_high:.1%})")

    @admin.display(description=_("Squared error (Brier score)"))
    def errors(self, model: QualityModel) -> str | None:
        return _figure(model, gettext("{brier:.4f}; {base_brier:.4f} when the average is always predicted"))

    @admin.display(description="AUC")
    def auc(self, model: QualityModel) -> str | None:
        if model.figures.get("auc") is None:
            return None
        return _figure(model, "{auc:.3f} ({auc_low:.3f} to {auc_high:.3f})")

    @admin.display(description=_("The lowest predictions"))
    def lowest(self, model: QualityModel) -> str | None:
        return _figure(
            model, gettext("of the {lowest_texts} texts with the lowest ones, the average is {lowest_mean:.3f}")
        )


def _figure(model: QualityModel, form: str) -> str | None:
    return form.format(**model.figures) if model.figures else None


def render_predictions(message: Message) -> SafeString:
    """Return a list of the predictions about a message; nothing where there is none. Two statements at most."""
    found = predictions_about(message)
    if not found:
        return SafeString()
    return format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", [(_line(one),) for one in found]))


def _line(prediction: Prediction) -> SafeString:
    address = reverse("admin:trees_qualitymodel_change", args=[prediction.model.pk])
    similar = prediction.similar
    if prediction.model.target == QualityModel.Target.ACCEPTED:
        text = gettext(
            "A machine's prediction: {} of 1 that reviewers accept it. Of {} texts with similar ones {} were. {}"
        )
        actual = f"{similar.actual:.0%}"
    else:
        text = gettext(
            "A machine's prediction of its quality: {} of 1. Of {} texts with similar ones the mean was {}. {}"
        )
        actual = f"{similar.actual:.2f}"
    link = format_html(LINK, address, gettext("How good the predictions are"))
    return format_html(text, badge(f"{prediction.value:.2f}"), similar.texts, actual, link)
