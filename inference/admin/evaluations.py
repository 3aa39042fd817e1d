"""Admin of evaluations: what was measured, what the gate said, and the report with all answers."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from inference.models import Evaluation
from oasst.core.errors import Gone, NotAllowed, NotFound
from oasst.core.read_only_admin import ReadOnlyAdmin, badge

REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
"""Models wrote much of a report: it has its style inside, and nothing in it may run or ask for more."""


class ByVerdict(admin.SimpleListFilter):
    title = _("gate")
    parameter_name = "gate"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("passed", gettext("Passed")), ("refused", gettext("Refused")), ("none", gettext("No gate"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        wanted = {"passed": True, "refused": False, "none": None}
        asked = self.value() or ""
        return queryset.filter(passed=wanted[asked]) if asked in wanted else queryset


@admin.register(Evaluation)
class EvaluationAdmin(ReadOnlyAdmin):
    list_display = ("model_name", "against_name", "snapshot", "verdict", "created_at")
    list_filter = (ByVerdict,)
    search_fields = ("model__name",)
    search_help_text = _("A piece of the name of a model")
    # Ids begin with the time, so this is newest first without an index of its own.
    ordering = ("-id",)
    empty_text = _("No model was evaluated yet. `./manage.py evaluate` does it.")
    fields = (("verdict", "created_at"), ("model", "against"), ("snapshot", "seconds"), "snapshot_digest", "key")
    readonly_fields = ("verdict",)
    change_form_outer_after_template = "inference/admin/evaluation.html"

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request)
        match = request.resolver_match
        return rows.defer("report", "gate") if match and match.url_name == "inference_evaluation_changelist" else rows

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.report_view)
        return [path("<uuid:evaluation_id>/report/", view, name="inference_evaluation_report"), *super().get_urls()]

    def title_of(self, obj: Evaluation) -> str:
        return obj.model_id

    def details(self, obj: Evaluation) -> dict[str, Any]:
        # Only here are the libraries behind it needed.
        from inference.registry import evaluations

        return {"parts": evaluations.figures_of(obj), "has_page": evaluations.page_of(obj) is not None}

    def report_view(self, request: HttpRequest, evaluation_id: UUID) -> HttpResponse:
        from inference.registry import evaluations

        if not self.has_view_permission(request):
            raise NotAllowed(gettext("This is for administrators."), code="admins_only")
        row = Evaluation.objects.filter(pk=evaluation_id).only("page").first()
        if row is None:
            raise NotFound(gettext("There is no such evaluation."), code="no_evaluation")
        file = evaluations.page_of(row)
        if file is None:
            raise Gone(
                gettext("The report is not on this machine any more. `./manage.py evaluate` makes it again."),
                code="no_report",
            )
        response = HttpResponse(file.read_bytes(), content_type="text/html; charset=utf-8")
        response["Content-Security-Policy"] = REPORT_POLICY
        return response

    @admin.display(description=_("Model"))
    def model_name(self, row: Evaluation) -> str:
        return row.model_id

    @admin.display(description=_("Against"))
    def against_name(self, row: Evaluation) -> str:
        return row.against_id or ""

    @admin.display(description=_("Gate"))
    def verdict(self, row: Evaluation) -> str:
        if row.passed is None:
            return badge(gettext("no gate"), "")
        return badge(gettext("passed"), "success") if row.passed else badge(gettext("refused"), "danger")
