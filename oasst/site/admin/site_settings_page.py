"""The page of site settings: what is in force, a form for each group, and the latest changes."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from oasst.accounts.groups import OPERATE
from oasst.accounts.models import SiteSettings
from oasst.accounts.site_settings import changing, reading
from oasst.accounts.site_settings.labels import LABELS
from oasst.accounts.site_settings.reading import Difference
from oasst.core.errors import DomainError
from oasst.core.locks import timeouts_as_busy
from oasst.core.read_only_admin import ReadOnlyAdmin, age_and_time
from oasst.site.admin.site_settings_forms import FORMS, EndForm, MaintenanceForm, PartForm

LATEST = 5
"""Changes that the page shows; the list has all."""
PAGE = "admin:accounts_sitesettings_now"
_ENDINGS: dict[str, Callable[..., list[str]]] = {
    "announcement": changing.end_announcement,
    "maintenance": changing.end_maintenance,
    "end": partial(changing.change, ended=False),
}
"""What the step "off" does, by part."""


@require_http_methods(["GET", "HEAD", "POST"])
def settings_view(request: Any, model_admin: ReadOnlyAdmin) -> HttpResponse:
    """Show the settings. A form says which part it is (`part`) and what to do (`step`: save, preview, on or off)."""
    may_change = bool(request.user.has_perm(OPERATE))
    if (request.method == "POST" and not may_change) or not model_admin.has_view_permission(request):
        raise PermissionDenied
    site = reading.read()
    forms = {part: form(site=site) for part, form in FORMS.items()}
    preview = None
    part, step = request.POST.get("part", ""), request.POST.get("step", "save")
    if part in _ENDINGS and step == "off":
        if _end(model_admin, request, part):
            return redirect(PAGE)
    elif part in FORMS:
        form = forms[part] = FORMS[part](request.POST, site=site, step=step)
        if form.is_valid():
            if step == "preview":
                preview = form.shown
            elif _store(model_admin, request, form):
                return redirect(PAGE)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": gettext("Site settings"),
        "opts": model_admin.opts,
        "site": site,
        "forms": forms if may_change else {},
        "preview": preview,
        "zone": timezone.get_current_timezone_name(),
        "off": [LABELS[name] for name in site.switched_off],
        "latest": with_differences(SiteSettings.objects.select_related("changed_by").order_by("-pk")[: LATEST + 1])[
            :LATEST
        ],
        "wrong": [form[name] for form in forms.values() for name in form.errors if name in form.fields],
        "may_change": may_change,
    }
    status = 422 if any(form.errors for form in forms.values()) else 200
    return render(request, "accounts/admin/site_settings.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
def back_view(request: Any, row_id: int, model_admin: ReadOnlyAdmin) -> HttpResponse:
    """Show what changing back would do, and do it."""
    if not request.user.has_perm(OPERATE):
        raise PermissionDenied
    row = model_admin.get_object(request, str(row_id))
    if row is None:
        return redirect("admin:accounts_sitesettings_changelist")
    now = reading.read()
    wanted = {one.name: one.was for one in reading.differences(reading.row_before(row), row)}
    changes = reading.differences(now, reading.CurrentSettings(**{**vars(now), **wanted}))
    needs_tick = any(one.name in (MaintenanceForm.switched, EndForm.switched) and one.became for one in changes)
    refusal = ""
    if request.method == "POST":
        if needs_tick and not request.POST.get("sure"):
            refusal = gettext("Please tick the box, so that it does not happen by mistake.")
        else:
            try:
                with timeouts_as_busy():
                    reason = request.POST.get("reason", "")
                    changed = changing.change_back(row.pk, actor=request.user, reason=reason)
            except DomainError as error:
                refusal = error.message
            else:
                _tell(model_admin, request, changed)
                return redirect(PAGE)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": gettext("Change back"),
        "opts": model_admin.opts,
        "row": row,
        "changes": [_in_words(one) for one in changes],
        "needs_tick": needs_tick,
        "reason": request.POST.get("reason", ""),
        "refusal": refusal,
        "back_url": reverse(PAGE),
    }
    return render(request, "accounts/admin/site_settings_back.html", context, status=422 if refusal else 200)


def with_differences(rows: Any) -> list[tuple[SiteSettings, list[dict[str, Any]]]]:
    """Return these rows, newest first, each with what it changed. One statement besides that for the rows."""
    found = list(rows)
    if not found:
        return []
    before = [*found[1:], reading.row_before(found[-1])]
    return [
        (row, [_in_words(one) for one in reading.differences(was, row)]) for row, was in zip(found, before, strict=True)
    ]


def _in_words(one: Difference) -> dict[str, Any]:
    return {"label": LABELS[one.name], "was": _as_words(one.was), "became": _as_words(one.became)}


def _as_words(value: Any) -> Any:
    if isinstance(value, bool):
        return gettext("on") if value else gettext("off")
    if value is None or value == "":
        return gettext("nothing")
    return value if isinstance(value, str) else age_and_time(value)


def _end(model_admin: ReadOnlyAdmin, request: Any, part: str) -> bool:
    """End the announcement, the maintenance, or the end of the project. Return False if it was refused."""
    try:
        with timeouts_as_busy():
            changed = _ENDINGS[part](actor=request.user, reason=request.POST.get("reason", ""))
    except DomainError as error:
        model_admin.message_user(request, error.message, messages.ERROR)
        return False
    _tell(model_admin, request, changed)
    return True


def _store(model_admin: ReadOnlyAdmin, request: Any, form: PartForm) -> bool:
    """Return False after adding the refusal of the service to the form."""
    try:
        with timeouts_as_busy():
            changed = changing.change(actor=request.user, reason=form.cleaned_data["reason"], **form.changes)
    except DomainError as error:
        form.add_error(error.field if error.field in form.fields else None, error.message)
        return False
    _tell(model_admin, request, changed)
    return True


def _tell(model_admin: ReadOnlyAdmin, request: Any, changed: list[str]) -> None:
    model_admin.tell_changes(request, [LABELS[name] for name in changed], gettext("The site follows within seconds."))
