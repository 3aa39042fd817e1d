"""What the header and the footer of every page show. Everything is lazy: responses without a page compute nothing."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from oasst.accounts.site_settings.reading import current
from oasst.core.http.fault_reports import fault_report_url
from oasst.site import announcements, team
from oasst.site.navigation import main_navigation, own_level, work_languages


def shell(request: HttpRequest) -> dict[str, Any]:
    """Add the site settings in force, the announcement, and what header and footer show."""
    return {
        "site_settings": SimpleLazyObject(current),
        "announcement": SimpleLazyObject(lambda: announcements.shown_to(request)),
        "navigation": SimpleLazyObject(lambda: main_navigation(request)),
        "own_level": SimpleLazyObject(lambda: own_level(request)),
        "work_languages": SimpleLazyObject(lambda: work_languages(request)),
        "footer": SimpleLazyObject(_footer),
    }


def _footer() -> dict[str, Any]:
    return {
        "fault_url": fault_report_url(),
        "source_url": settings.SOURCE_URL,
        "community_url": settings.COMMUNITY_URL,
        "contact_email": settings.CONTACT_EMAIL,
        "has_team": team.has_team(),
    }
