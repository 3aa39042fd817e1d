"""Show times in the user's own time zone: on all pages, in the admin, and in mails. The APIs use UTC.

Streaks are counted in the same zone; leaderboards and statistics use UTC and say so.
"""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin

from oasst.accounts.models import User
from oasst.core.http.api_paths import has_no_session_user

_UTC = ZoneInfo("UTC")


def user_zone(user: User) -> ZoneInfo:
    """Return the user's zone, or UTC if the machine does not know it."""
    try:
        return ZoneInfo(user.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return _UTC


class UserTimeZone(MiddlewareMixin):
    """Activate the time zone of the signed-in user during a request. Visitors see UTC, named as such."""

    def process_view(self, request: HttpRequest, view: Callable[..., HttpResponseBase], args: Any, kwargs: Any) -> None:
        if not has_no_session_user(request.path_info) and request.user.is_authenticated:
            timezone.activate(user_zone(request.user))

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        timezone.deactivate()  # the thread serves other users next
        return response
