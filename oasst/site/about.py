"""Pages about this installation: what it is, who runs it, whom to ask, and the end of the project."""

import re

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from oasst.accounts.site_settings.reading import current
from oasst.core.http.fault_reports import fault_report_url
from oasst.site.team import groups

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


@require_safe
def about(request: HttpRequest) -> HttpResponse:
    context = {
        "operator_name": settings.OPERATOR_NAME,
        "operator_url": settings.OPERATOR_URL,
        "source_url": settings.SOURCE_URL,
        "contact_email": settings.CONTACT_EMAIL,
        "has_team": bool(groups()),
    }
    return render(request, "pages/about.html", context)


@require_safe
def team(request: HttpRequest) -> HttpResponse:
    return render(request, "pages/team.html", {"groups": groups()})


@require_safe
def report_fault(request: HttpRequest) -> HttpResponse:
    """Say whom to tell about a fault. Error pages lead here with the id of their request."""
    request_id = request.GET.get("request", "")
    request_id = request_id if _REQUEST_ID.fullmatch(request_id) else ""
    url = fault_report_url(request_id)
    is_elsewhere = not url.startswith("/")
    context = {
        "request_id": request_id,
        "report_url": url if is_elsewhere else "",
        "is_mail": url.startswith("mailto:"),
        "contact_email": settings.CONTACT_EMAIL,
        "operator_name": settings.OPERATOR_NAME,
        "operator_url": settings.OPERATOR_URL,
    }
    return render(request, "pages/report_fault.html", context)


@require_safe
def project_ended(request: HttpRequest) -> HttpResponse:
    """Show the closing page, to which start page, dashboard and tasks lead. It exists only after the end."""
    site = current()
    if not site.ended:
        raise Http404
    return render(request, "pages/project_ended.html", {"message": site.ended_message})
