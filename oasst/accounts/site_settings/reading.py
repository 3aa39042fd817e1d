"""The site settings in force, for every request.

In the steady state this costs nothing: a process remembers them for two seconds, then asks Redis, and only if Redis
knows nothing the database. So a change is in force everywhere within seconds, also without Redis.
"""

import time
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from hashlib import blake2b
from typing import Any

import structlog
from django.core.cache import cache
from django.db import DatabaseError
from django.utils import timezone
from psycopg_pool import PoolTimeout

from oasst.accounts.models import SiteSettings

REMEMBERED_SECONDS = 2
"""How long a process uses what it knows."""
CACHED_SECONDS = 10
"""How long Redis uses what it knows. A change deletes it; this is for a change that Redis did not hear of."""
_KEY = "site_settings"
_TIMES = ("announcement_until", "maintenance_until")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class CurrentSettings:
    """The settings in force; the fields have the names of the columns."""

    announcement: str = ""
    announcement_url: str = ""
    announcement_until: datetime | None = None
    maintenance: bool = False
    maintenance_message: str = ""
    maintenance_until: datetime | None = None
    ended: bool = False
    ended_message: str = ""
    sign_up: bool = True
    email_codes: bool = True
    chat: bool = True
    chat_drafts: bool = True
    sign_in_proof: bool = True

    @property
    def takes_new_people(self) -> bool:
        return self.sign_up and not self.maintenance

    @property
    def has_announcement(self) -> bool:
        """Return True if there is an announcement and its time is not over."""
        return bool(self.announcement) and (self.announcement_until is None or self.announcement_until > timezone.now())

    @property
    def announcement_mark(self) -> str:
        """Return what a browser remembers of a dismissed announcement: another text or link is another one."""
        return blake2b(f"{self.announcement}\n{self.announcement_url}".encode(), digest_size=8).hexdigest()


FIELDS = tuple(field.name for field in fields(CurrentSettings))

_remembered: tuple[float, CurrentSettings] | None = None
"""Until when (by the monotonic clock), and what."""


def current() -> CurrentSettings:
    """Return the settings in force. Without the database, those that this process knew last, or the defaults."""
    known = _remembered
    if known is not None and time.monotonic() < known[0]:
        return known[1]
    found = _from_json(cache.get(_KEY))
    if found is None:
        try:
            found = read()
        except (DatabaseError, PoolTimeout) as error:
            log.warning("site_settings_not_read", reason=type(error).__name__)
            found = known[1] if known else CurrentSettings()
        else:
            cache.set(_KEY, _as_json(found), CACHED_SECONDS)
    remember(found)
    return found


def read() -> CurrentSettings:
    """Read the newest row. One statement."""
    row = SiteSettings.objects.order_by("-pk").values(*FIELDS).first()
    return CurrentSettings(**row) if row else CurrentSettings()


def remember(found: CurrentSettings, seconds: float = REMEMBERED_SECONDS) -> None:
    """Let this process use these settings for some seconds without asking."""
    global _remembered
    _remembered = (time.monotonic() + seconds, found)


def forget() -> None:
    """Let every process ask again. Call it after the commit of a change."""
    global _remembered
    _remembered = None
    cache.delete(_KEY)


def _as_json(found: CurrentSettings) -> dict[str, Any]:
    values = asdict(found)
    return {**values, **{name: values[name] and values[name].isoformat() for name in _TIMES}}


def _from_json(values: Any) -> CurrentSettings | None:
    """Return None for anything that another release may have stored."""
    if not isinstance(values, dict) or set(values) != set(FIELDS):
        return None
    try:
        times = {name: values[name] and datetime.fromisoformat(values[name]) for name in _TIMES}
    except (TypeError, ValueError):
        return None
    return CurrentSettings(**{**values, **times})
