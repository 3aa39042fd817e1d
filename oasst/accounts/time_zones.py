"""Times are shown to each person in their own zone: on all pages, in the admin, and in mails to them. Programs get UTC.

Days in a row are counted in the same zone; boards and statistics are everybody's and counted in UTC, which they say.
"""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin

from oasst.accounts.models import User
from oasst.core.http.api_paths import asks_no_person

_UTC = ZoneInfo("UTC")


def zone_of(person: User) -> ZoneInfo:
    """UTC where the machine does not know the zone (any more)."""
    try:
        return ZoneInfo(person.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return _UTC


class PersonTimeZone(MiddlewareMixin):
    """Sets the zone of whoever is signed in for the time of a request. Strangers see UTC, named as such."""

    def process_view(self, request: HttpRequest, view: Callable[..., HttpResponseBase], args: Any, kwargs: Any) -> None:
        if not asks_no_person(request.path_info) and request.user.is_authenticated:
            timezone.activate(zone_of(request.user))

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        timezone.deactivate()  # the thread serves others next
        return response
