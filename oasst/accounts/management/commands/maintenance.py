"""Close the site for maintenance, or open it again."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from datetime import timedelta
from typing import Any

from django.utils import timezone

from oasst.accounts.site_settings import changing, reading
from oasst.embedded.commands import ServiceCommand


class Command(ServiceCommand):
    help = """Close the site for maintenance, or open it again. It works also while the web servers are down.

  maintenance on --message "We move to a larger machine." --minutes 30 --reason "the disk is full"
  maintenance off
  maintenance status

Meanwhile pages and APIs answer 503 with Retry-After, and new WebSockets are refused. The team (moderators, operators,
auditors, administrators) can sign in and use the site; health checks and metrics answer, and jobs go on."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("state", choices=["on", "off", "status"])
        parser.add_argument("--message", metavar="M", help="what people read meanwhile; default: a general sentence")
        parser.add_argument("--minutes", metavar="N", type=int, help="how long it will take, which people are told")
        parser.add_argument("--reason", default="", metavar="R", help="why, for the history")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["state"] == "on":
            minutes = options["minutes"]
            changing.change(
                actor=None,
                reason=options["reason"],
                maintenance=True,
                maintenance_message=options["message"] or "",
                maintenance_until=timezone.now() + timedelta(minutes=minutes) if minutes else None,
            )
        elif options["state"] == "off":
            changing.end_maintenance(actor=None, reason=options["reason"])
        self.stdout.write(f"Maintenance is {'on' if reading.read().maintenance else 'off'}.")
