"""The announcement above every page. A browser remembers in a cookie which text it dismissed, so another text is shown
again.
"""

import re

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from oasst.accounts.site_settings.reading import CurrentSettings, current
from oasst.core.http.requests import is_from_script, safe_next

COOKIE = "announcement"
_YEAR = 365 * 24 * 3600
_MARK = re.compile(r"[0-9a-f]{16}")


def shown_to(request: HttpRequest) -> CurrentSettings | None:
    """Return the settings with the announcement, or None if there is nothing to show to this user.

    It is for signed-in users; visitors see the pages as they are published.
    """
    site = current()
    if not site.has_announcement or not request.user.is_authenticated:
        return None
    return None if request.COOKIES.get(COOKIE) == site.announcement_mark else site


@require_POST
def dismiss(request: HttpRequest) -> HttpResponse:
    """Hide the announcement that the page showed, also if there is a newer one by now."""
    response = HttpResponse(status=204) if is_from_script(request) else redirect(safe_next(request, "/"))
    mark = request.POST.get("mark", "")
    if _MARK.fullmatch(mark):
        response.set_cookie(
            COOKIE, mark, max_age=_YEAR, httponly=True, secure=settings.SESSION_COOKIE_SECURE, samesite="Lax"
        )
    return response
