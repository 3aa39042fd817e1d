"""manage.py ban_user: suspend a user, even an administrator."""

from argparse import ArgumentParser
from typing import Any

from oasst.accounts.management.people import require_named
from oasst.embedded.commands import ServiceCommand
from trees.moderation import bans


class Command(ServiceCommand):
    help = (
        "Suspend a person, who then sees only a page with the reason. Works for moderators and administrators too, "
        "where /admin/ needs two other administrators; never for the last administrator. unban_user ends it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("person", help="the e-mail address or the id of the person")
        parser.add_argument("--reason", required=True, help="why; the person reads it")

    def handle(self, *args: Any, **options: Any) -> None:
        person = require_named(options["person"])
        bans.ban_by_operator(person, reason=options["reason"])
        self.stdout.write(f"{person} is suspended.")
