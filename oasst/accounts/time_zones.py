"""Show times in the user's own time zone: on all pages, in the admin, and in mails. The APIs use UTC.

Streaks are counted in the same zone; leaderboards and statistics use UTC and say so.
"""

from collections.abc import Callable
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

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


@cache
def zone_names() -> tuple[str, ...]:
    """Return the names of all zones as people read them, in alphabetical order: "America/New York"."""
    return tuple(sorted(name.replace("_", " ") for name in available_timezones()))


@cache
def _zones_by_typed_name() -> dict[str, str]:
    """Return what somebody may type, in lower case → zone: its name, or only its city where that is one zone."""
    cities: dict[str, set[str]] = {}
    for name in available_timezones():
        cities.setdefault(_as_typed(name.rpartition("/")[2]), set()).add(name)
    by_city = {city: names.pop() for city, names in cities.items() if len(names) == 1}
    return by_city | {_as_typed(name): name for name in available_timezones()}


def _as_typed(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def find_zone(typed: str) -> str | None:
    """Return the zone that somebody means: by its name or its city, in any case, with spaces or underscores."""
    return _zones_by_typed_name().get(_as_typed(typed))


class UserTimeZone(MiddlewareMixin):
    """Activate the time zone of the signed-in user during a request. Visitors see UTC, named as such."""

    def process_view(self, request: HttpRequest, view: Callable[..., HttpResponseBase], args: Any, kwargs: Any) -> None:
        if not has_no_session_user(request.path_info) and request.user.is_authenticated:
            timezone.activate(user_zone(request.user))

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        timezone.deactivate()  # the thread serves other users next
        return response
