"""The pages of operators: the health of the site, all jobs, and one job with what can be done about it."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from oasst.accounts.access import require_operator
from oasst.accounts.groups import OPERATE
from oasst.accounts.site_settings import reading as site_settings
from oasst.accounts.site_settings.labels import LABELS
from oasst.core.audit.reading import describe as describe_entries
from oasst.core.audit.reading import entries_about
from oasst.core.errors import DomainError, Invalid, NotAllowed
from oasst.core.locks import timeouts_as_busy
from oasst.site.health import check_services
from oasst.site.operation import changing, reading
from oasst.site.operation.descriptions import Group
from oasst.site.operation.forms import TimesForm
from oasst.site.operation.reading import JobState, Part, Status

SEE = "core.view_jobrecord"
SHOWN_ACTS = 10
_SERVICES = {"database": "PostgreSQL", "redis": "Redis"}


def urls(wrap: Any) -> list[Any]:
    """Return the URLs below the admin; `wrap` lets in only staff."""
    return [
        path("operation/", wrap(operation_view), name="operation"),
        path("jobs/", wrap(jobs_view), name="jobs"),
        path("jobs/<path:job>/", wrap(job_view), name="job"),
    ]


def _require_technician(request: HttpRequest) -> None:
    if not request.user.has_perm(SEE):
        raise PermissionDenied


@require_http_methods(["GET", "HEAD"])
def operation_view(request: HttpRequest) -> HttpResponse:
    """Show what runs, what failed and what waits, to operators, administrators and auditors."""
    _require_technician(request)
    states = reading.read_jobs()
    waiting = [state for state in states if state.waiting]
    worst = list(Status)
    site = site_settings.read()
    context: dict[str, Any] = {
        "parts": [*_service_parts(), *reading.clock_parts(states)],
        "needs": sorted((one for one in states if one.needs_a_look), key=lambda one: worst.index(one.status)),
        "waiting": sum(state.waiting for state in waiting),
        "waiting_failed": sum(state.failed for state in waiting),
        "oldest": min((state.oldest for state in waiting if state.oldest), default=None),
        "scheduled": sum(state.is_of_clock and not state.is_off for state in states),
        "site": site,
        "switched_off": [LABELS[name] for name in site.switched_off],
        "links": _links(request),
    }
    return _page(request, "operation", _("Operation"), **context)


def _service_parts() -> list[Part]:
    found = check_services()
    if found["database"]["ok"]:  # one line for the database, whose problem may be that of its migrations
        found["database"] = found["migrations"]
    del found["migrations"]
    names = {**_SERVICES, "chat": _("Engine")}
    return [
        Part(names[name], part["ok"], _("answers") if part["ok"] else part["problem"]) for name, part in found.items()
    ]


def _links(request: HttpRequest) -> list[tuple[str, str]]:
    wanted = (
        (_("All jobs"), SEE, "admin:jobs"),
        (_("Waiting jobs"), "core.view_waitingjob", "admin:core_waitingjob_changelist"),
        (_("Site settings"), "accounts.view_sitesettings", "admin:accounts_sitesettings_now"),
        (_("Engines"), "inference.view_turn", "admin:inference_engine"),
        (_("API clients"), "accounts.view_apiclient", "admin:accounts_apiclient_changelist"),
        (_("Webhooks"), "trees.view_webhook", "admin:trees_webhook_changelist"),
    )
    return [(words, reverse(name)) for words, permission, name in wanted if request.user.has_perm(permission)]


@require_http_methods(["GET", "HEAD"])
def jobs_view(request: HttpRequest) -> HttpResponse:
    """List all jobs in groups."""
    _require_technician(request)
    states = reading.read_jobs()
    groups = [(group.label, group, [state for state in states if state.about.group == group]) for group in Group]
    return _page(request, "jobs", _("Jobs"), groups=[row for row in groups if row[2]], commit=Group.COMMIT)


@require_http_methods(["GET", "HEAD", "POST"])
def job_view(request: Any, job: str) -> HttpResponse:
    """Show one job. A POST changes its times, switches it, or asks for a run."""
    _require_technician(request)
    refusal, form, reason = None, None, ""
    if request.method == "POST":
        require_operator(request.user)
        reason = request.POST.get("reason", "")
        form = TimesForm(request.POST) if request.POST.get("do") == "times" else None
        try:
            with timeouts_as_busy():
                if _act(request, job, form, reason):
                    return redirect("admin:job", job)
        except NotAllowed:
            raise
        except DomainError as error:
            refusal = error
    state = reading.read_job(job)
    if state is None:
        raise Http404
    context = {
        "state": state,
        "form": form or TimesForm.showing(state.schedule),
        "may_act": request.user.has_perm(OPERATE),
        "can_run": job in reading.DEFAULTS,
        "refusal": refusal,
        "reason": reason,
        "waiting_url": f"{reverse('admin:core_waitingjob_changelist')}?job={job}",
        "lines": _acts_about(state),
    }
    is_refused = refusal is not None or (form is not None and bool(form.errors))
    return _page(request, "job", str(state.about.title), status=422 if is_refused else 200, **context)


def _act(request: Any, job: str, form: TimesForm | None, reason: str) -> bool:
    """Do what the button says. Return False if the form is to be shown again."""
    why = {"actor": request.user, "reason": reason}
    match request.POST.get("do", ""):
        case "run":
            changing.run_now(job, actor=request.user)
            messages.success(request, _("A worker runs it as soon as one is free."))
        case "times":
            assert form is not None
            if not form.is_valid():
                return False
            _say(request, changing.change_times(job, form.cleaned_data["schedule"], **why), _("It has new times."))
        case "default":
            _say(request, changing.reset_times(job, **why), _("It has its default times again."))
        case "off":
            _say(request, changing.switch(job, on=False, **why), _("It is switched off."))
        case "on":
            _say(request, changing.switch(job, on=True, **why), _("It is switched on."))
        case _other:
            raise Invalid(_("Please press one of the buttons of this page."), code="unknown_act", field="do")
    return True


def _say(request: HttpRequest, changed: bool, done: str) -> None:
    if changed:
        messages.success(request, done)
    else:
        messages.info(request, _("It was so already, so nothing was changed."))


def _acts_about(state: JobState) -> list[Any]:
    """Return what staff did about this job lately, as the audit log says it. Four statements at most."""
    targets = [("core.jobrecord", state.job)]
    if state.task:  # entries of former releases
        targets.append(("django_celery_beat.periodictask", str(state.task.pk)))
    return describe_entries(list(entries_about(targets)[:SHOWN_ACTS]))


def _page(request: HttpRequest, name: str, title: str, status: int = 200, **context: Any) -> HttpResponse:
    whole = {**admin.site.each_context(request), "title": title, **context}
    return render(request, f"admin/operation/{name}.html", whole, status=status)
