"""1234, the well-known secret of Open-Assistant's development setup, for trying unchanged API clients.

OFFICIAL_WEB_API_KEY=1234 enables it as a key, ROOT_TOKENS='["1234"]' as a root token. Nothing proves that a request
comes from this machine, so only sites on loopback start with it (oasst.checks), and requests that surely come from
another machine are refused.
"""

from django.conf import settings
from django.http import HttpRequest

from oasst.core.http.requests import is_private_site, is_surely_remote

KNOWN_SECRET = "1234"


def is_enabled_as_key(request: HttpRequest) -> bool:
    """Return True if KNOWN_SECRET is an API key for this request. A stored key alone is not enough."""
    return settings.OFFICIAL_WEB_API_KEY == KNOWN_SECRET and _is_local(request)


def is_enabled_as_root_token(request: HttpRequest) -> bool:
    """Return True if KNOWN_SECRET is a root token for this request."""
    return KNOWN_SECRET in settings.ROOT_TOKENS and _is_local(request)


def enabling_variables() -> list[str]:
    """Return the names of the environment variables that enable it."""
    variables = {"OFFICIAL_WEB_API_KEY": [settings.OFFICIAL_WEB_API_KEY], "ROOT_TOKENS": settings.ROOT_TOKENS}
    return [name for name, values in variables.items() if KNOWN_SECRET in values]


def _is_local(request: HttpRequest) -> bool:
    return is_private_site() and not is_surely_remote(request)
