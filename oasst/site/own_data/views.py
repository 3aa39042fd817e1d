"""The page that explains the file with a person's own data, and the file. Suspended people may have it too.

`AccessMiddleware` asks for a recent proof of identity before both (decision 60).
"""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from oasst.accounts.authentication.sessions import sessions_of
from oasst.accounts.requests import SignedInRequest
from oasst.api.streams import stream_file
from oasst.core.ratelimit import OWN_DATA, count_use, refuse_if_used_up
from oasst.site.own_data.archive import archive
from oasst.site.own_data.contents import PARTS


@never_cache
@login_required
@require_safe
def own_data(request: SignedInRequest) -> HttpResponse:
    return render(request, "accounts/own_data.html", {"parts": [part.about for part in PARTS]})


@login_required
@require_safe
def own_data_file(request: SignedInRequest) -> HttpResponseBase:
    """Send the file. Raise Busy (`rate_limited`, `streams_full`)."""
    if request.method == "HEAD":
        return HttpResponse(content_type="application/zip")
    refuse_if_used_up(OWN_DATA, request.user.pk)
    sessions = sessions_of(request, request.user)
    response = stream_file(archive(request.user, sessions), "application/zip", request)
    count_use(OWN_DATA, request.user.pk)
    response["Content-Disposition"] = f'attachment; filename="oasst-{timezone.localdate():%Y-%m-%d}.zip"'
    return response
