"""Show or change the site settings."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError
from django.db.models import BooleanField, DateTimeField
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from oasst.accounts.models import SiteSettings
from oasst.accounts.site_settings import changing, reading
from oasst.embedded.commands import ServiceCommand

_WORDS = {"on": True, "off": False}


class Command(ServiceCommand):
    help = """Show the settings of the whole site, or change some. The running site follows within seconds.

  site_settings
  site_settings announcement="We move on Sunday." announcement_until=2027-01-03T08:00Z
  site_settings sign_up=off --reason "too many robots"

Switches are on or off, times are ISO 8601 (without a zone: UTC), and an empty value clears a text or a time.
Administrators change the same at /admin/ under "Site settings", which also shows the history."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("changes", metavar="NAME=VALUE", nargs="*", help="a setting and its new value")
        parser.add_argument("--reason", default="", metavar="R", help="why, for the history")

    def handle(self, *args: Any, **options: Any) -> None:
        changes = dict(_parse(change) for change in options["changes"])
        if changes:
            changing.change(actor=None, reason=options["reason"], **changes)
        now = reading.read()
        for name in reading.FIELDS:
            self.stdout.write(f"{name}={_as_text(getattr(now, name))}")


def _parse(change: str) -> tuple[str, Any]:
    """Return name and value of `NAME=VALUE`. Raise CommandError."""
    name, equals, text = change.partition("=")
    if not equals or name not in reading.FIELDS:
        raise CommandError(f"{change!r} is no setting. Write NAME=VALUE with one of: {', '.join(reading.FIELDS)}.")
    field = SiteSettings._meta.get_field(name)
    if isinstance(field, BooleanField):
        if text not in _WORDS:
            raise CommandError(f"{name} is on or off, not {text!r}.")
        return name, _WORDS[text]
    if isinstance(field, DateTimeField):
        return name, _parse_time(name, text)
    return name, text


def _parse_time(name: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        time = parse_datetime(text)
    except ValueError:
        time = None
    if time is None:
        raise CommandError(f"{name} is a time such as 2027-01-03T08:00Z, not {text!r}.")
    return time if timezone.is_aware(time) else timezone.make_aware(time)


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value or "")
