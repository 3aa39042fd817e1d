"""Change the site settings. Every change adds a row, which the admin shows as history."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from oasst.accounts import acts
from oasst.accounts.access import require_operator
from oasst.accounts.models import SiteSettings, User
from oasst.accounts.site_settings import reading
from oasst.core.audit.recording import record
from oasst.core.errors import Invalid, NotFound
from oasst.core.locks import advisory_lock
from oasst.core.text.validation import clean_line, clean_optional, clean_text

TAKES_AWAY = {
    "maintenance": True,
    "ended": True,
    "sign_up": False,
    "email_codes": False,
    "chat": False,
    "chat_drafts": False,
}
"""Settings that with this value take something away from people, so it needs a reason."""
MOST_AHEAD = timedelta(days=3_653)


def change(*, actor: User | None, reason: str = "", **changes: Any) -> list[str]:
    """Change these settings, and leave the others as they are. Return the names of those that are different now.

    Without an actor it is the operator, by a command. Raise NotAllowed `operators_only`, and Invalid for a wrong
    value, or `reason` if the change takes something away from people and does not say why. Every process follows within
    seconds of the commit.
    """
    if actor is not None:
        require_operator(actor)
    changes = {name: checked(name, value) for name, value in changes.items()}
    with transaction.atomic():
        advisory_lock("site_settings")  # two changes at once keep each other's values
        before = reading.read()
        different = [name for name, value in changes.items() if getattr(before, name) != value]
        if different:
            values = {name: getattr(before, name) for name in reading.FIELDS} | changes
            reason = clean_optional(reason, limit=500, field="reason", clean=clean_line)
            if actor is not None and not reason and any(_takes_away(name, values[name]) for name in different):
                raise Invalid(_("Say why: this takes something away from people."), code="reason", field="reason")
            row = SiteSettings.objects.create(**values, reason=reason, changed_by=actor)
            was = {name: getattr(before, name) for name in different}
            became = {name: values[name] for name in different}
            record(
                acts.CHANGE_SETTINGS,
                row,
                actor=actor,
                reason=reason,
                before={"settings": {"site": was}},
                after={"settings": {"site": became}},
            )
            transaction.on_commit(reading.forget)
    return different


def end_announcement(*, actor: User | None, reason: str = "") -> list[str]:
    """Show no announcement any more. The history keeps it."""
    return change(actor=actor, reason=reason, announcement="", announcement_url="", announcement_until=None)


def end_maintenance(*, actor: User | None, reason: str = "") -> list[str]:
    """Open the site for everybody again. What people read meanwhile stays for the next time."""
    return change(actor=actor, reason=reason, maintenance=False, maintenance_until=None)


@transaction.atomic
def change_back(row_id: int, *, actor: User, reason: str) -> list[str]:
    """Give what this row of the history changed the values that it had before, in a new row. Raise NotFound, and as
    `change`.
    """
    row = SiteSettings.objects.filter(pk=row_id).first()
    if row is None:
        raise NotFound(_("There is no such change."), code="not_found")
    before = {one.name: one.was for one in reading.differences(reading.row_before(row), row)}
    return change(actor=actor, reason=reason, **before)


def checked(name: str, value: Any) -> Any:
    """Return the value of a setting as it is stored. Raise Invalid."""
    if name not in reading.FIELDS:
        raise Invalid(
            _("There is no such setting. There are: %(names)s.") % {"names": ", ".join(reading.FIELDS)},
            code="unknown_setting",
            field=name,
        )
    if isinstance(value, str):
        field: Any = SiteSettings._meta.get_field(name)
        clean = clean_text if name == "ended_message" else clean_line
        value = clean_optional(value, limit=field.max_length, field=name, clean=clean)
    if isinstance(value, datetime) and value > timezone.now() + MOST_AHEAD:
        # The last days of the year 9999 cannot even be read again: the settings would be lost.
        raise Invalid(_("This is too far away. Choose a time within ten years."), code="too_late", field=name)
    if name == "announcement_url" and value and not _is_address(value):
        raise Invalid(
            _("A page of this site begins with /, another one with https://."), code="not_an_address", field=name
        )
    return value


def _takes_away(name: str, value: Any) -> bool:
    return name in TAKES_AWAY and TAKES_AWAY[name] == value


def _is_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    if any(character.isspace() or character == "\\" for character in value):
        return False
    return bool(parts.netloc) if parts.scheme in ("http", "https") else value.startswith("/") and not parts.netloc
