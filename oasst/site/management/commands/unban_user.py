"""manage.py unban_user: end the suspension of a user or of the address of a closed account."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from oasst.accounts import suspensions
from oasst.accounts.management.people import find_named
from oasst.embedded.commands import ServiceCommand
from trees.moderation import bans


class Command(ServiceCommand):
    help = (
        "End the suspension of a person. With the address of a suspended account that was closed, delete the keyed "
        "hash of that address, so that the person can sign up again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("person", help="the e-mail address or the id of the person")
        parser.add_argument("--reason", required=True, help="why; kept with the ban")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["person"]
        person = find_named(name)
        if person is None:
            if "@" not in name or not suspensions.forget_address(name):
                raise CommandError(f"Nobody known as {name} is suspended.")
            self.stdout.write(f"{name} may sign up again.")
            return
        bans.unban_by_operator(person, reason=options["reason"])
        self.stdout.write(f"{person} may take part again.")
