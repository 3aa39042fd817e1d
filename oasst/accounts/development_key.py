"""The secret of Open-Assistant's development setup, which programs of that time bring along and everybody knows.

Whoever wants to try such programs unchanged switches it on: OFFICIAL_WEB_API_KEY=1234 as a key, ROOT_TOKENS='["1234"]'
as a root token. Nothing proves that a caller sits at this machine, so no other site starts with it (oasst.checks), and
a caller who surely comes from elsewhere is refused.
"""

from django.conf import settings
from django.http import HttpRequest

from oasst.core.http.requests import comes_from_elsewhere, is_private_site

KNOWN_SECRET = "1234"


def opens_as_key(request: HttpRequest) -> bool:
    """Whether KNOWN_SECRET is an API key for this request. A stored row of it alone opens nothing."""
    return settings.OFFICIAL_WEB_API_KEY == KNOWN_SECRET and _may_come_in(request)


def opens_as_root(request: HttpRequest) -> bool:
    """Whether KNOWN_SECRET is a root token for this request."""
    return KNOWN_SECRET in settings.ROOT_TOKENS and _may_come_in(request)


def variables_that_hold_it() -> list[str]:
    """The names of the environment variables that switch it on."""
    found = {"OFFICIAL_WEB_API_KEY": [settings.OFFICIAL_WEB_API_KEY], "ROOT_TOKENS": settings.ROOT_TOKENS}
    return [name for name, values in found.items() if KNOWN_SECRET in values]


def _may_come_in(request: HttpRequest) -> bool:
    return is_private_site() and not comes_from_elsewhere(request)
