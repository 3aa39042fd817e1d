"""Change the site settings. Every change adds a row, which the admin shows as history."""

from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.utils.translation import gettext as _

from oasst.accounts import acts
from oasst.accounts.access import require_operator
from oasst.accounts.models import SiteSettings, User
from oasst.accounts.site_settings import reading
from oasst.core.audit.recording import record
from oasst.core.errors import Invalid
from oasst.core.locks import advisory_lock
from oasst.core.text.validation import clean_line, clean_optional, clean_text


def change(*, actor: User | None, reason: str = "", **changes: Any) -> list[str]:
    """Change these settings, and leave the others as they are. Return the names of those that are different now.

    Without an actor it is the operator, by a command. Raise NotAllowed `operators_only`, and Invalid for a wrong
    value. Every process follows within seconds of the commit.
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
    if name == "announcement_url" and value and not _is_address(value):
        raise Invalid(
            _("A page of this site begins with /, another one with https://."), code="not_an_address", field=name
        )
    return value


def _is_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    if any(character.isspace() or character == "\\" for character in value):
        return False
    return bool(parts.netloc) if parts.scheme in ("http", "https") else value.startswith("/") and not parts.netloc
