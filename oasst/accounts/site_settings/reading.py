"""The site settings in force, for every request: without a statement in the steady state (`oasst.core.remembered`)."""

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from hashlib import blake2b
from typing import Any

from django.utils import timezone

from oasst.accounts.models import SiteSettings
from oasst.core.remembered import Remembered

SWITCHES = ("sign_up", "email_codes", "sign_in_proof", "chat", "chat_drafts")
"""The settings that say whether something is on, in the order in which pages show them."""
_TIMES = ("announcement_until", "maintenance_until")


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
    def switched_off(self) -> list[str]:
        """Return the names of the switches that are off."""
        return [name for name in SWITCHES if not getattr(self, name)]

    @property
    def has_announcement(self) -> bool:
        """Return True if there is an announcement and its time is not over."""
        return bool(self.announcement) and (self.announcement_until is None or self.announcement_until > timezone.now())

    @property
    def announcement_mark(self) -> str:
        """Return what a browser remembers of a dismissed announcement: another text or link is another one."""
        return blake2b(f"{self.announcement}\n{self.announcement_url}".encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Difference:
    """What a change did to one setting."""

    name: str
    was: Any
    became: Any


FIELDS = tuple(field.name for field in fields(CurrentSettings))


def read() -> CurrentSettings:
    """Read the newest row. One statement."""
    row = SiteSettings.objects.order_by("-pk").values(*FIELDS).first()
    return CurrentSettings(**row) if row else CurrentSettings()


def row_before(row: SiteSettings) -> SiteSettings | CurrentSettings:
    """Return what was in force before this row: an older one, or the defaults. One statement."""
    return SiteSettings.objects.filter(pk__lt=row.pk).order_by("-pk").first() or CurrentSettings()


def differences(before: SiteSettings | CurrentSettings, after: SiteSettings | CurrentSettings) -> list[Difference]:
    """Return what differs, in the order of FIELDS."""
    pairs = [(name, getattr(before, name), getattr(after, name)) for name in FIELDS]
    return [Difference(name, was, became) for name, was, became in pairs if was != became]


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


_settings = Remembered("site_settings", read=read, default=CurrentSettings, as_json=_as_json, from_json=_from_json)
current, remember, forget = _settings.current, _settings.remember, _settings.forget
