"""manage.py unban_user: let one person in again, or let a suspended address sign up again."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from oasst.accounts import suspensions
from oasst.accounts.management.people import find_named
from oasst.embedded.commands import ServiceCommand
from trees.moderation import bans


class Command(ServiceCommand):
    help = (
        "End the suspension of a person. Given the address of somebody who closed a suspended account, it forgets the "
        "keyed hash of that address, so that they can sign up again."
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
