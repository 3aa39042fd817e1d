"""The page with a person's own reports."""

from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from oasst.accounts.requests import SignedInRequest
from trees import own_reports

LISTS = {"": (_("Messages"), own_reports.about_messages), "chat": (_("Chat answers"), own_reports.about_answers)}


@login_required
@require_safe
def reports(request: SignedInRequest) -> HttpResponse:
    chosen = request.GET.get("of", "")
    if chosen not in LISTS:
        chosen = ""
    path, older = reverse("reports"), request.GET.get("older", "")

    def address(**query: str) -> str:
        parts = urlencode({name: value for name, value in query.items() if value})
        return f"{path}?{parts}" if parts else path

    page = LISTS[chosen][1](request.user, older)
    context = {
        "rows": page.rows,
        "filters": [(label, name == chosen, address(of=name)) for name, (label, _) in LISTS.items()],
        "newest_url": address(of=chosen) if older else "",
        "older_url": address(of=chosen, older=page.older) if page.older else "",
    }
    return render(request, "trees/reports.html", context)
