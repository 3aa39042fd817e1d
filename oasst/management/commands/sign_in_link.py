"""A link that signs somebody in."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import CommandError

from oasst.accounts import sign_in_links
from oasst.accounts.services import clean_email, find_person
from oasst.core.commands import ServiceCommand


class Command(ServiceCommand):
    help = """Print a link that signs a person in, once: for sites without mail, and for people whom no mail reaches.

The link is the last line, works in one browser and for a few minutes, and takes the place of an earlier one. Who has it
is that person, so hand it over in private.

  sign_in_link ada@example.org
  sign_in_link ada@example.org --minutes 60
  create_user ada@example.org && manage.py sign_in_link ada@example.org      somebody new

Fails when nobody has this address."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", metavar="EMAIL", help="the address that the person signs in with")
        parser.add_argument(
            "--minutes",
            metavar="N",
            type=int,
            default=sign_in_links.DEFAULT_MINUTES,
            help="how long the link works; default: %(default)s",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        email = clean_email(options["email"])
        user = find_person(email)
        if user is None:
            raise CommandError(f"Nobody has the address {email}. `manage.py create_user {email}` makes an account.")
        link = sign_in_links.make_link(user, minutes=options["minutes"])
        self.stdout.write(f"Signs in {user.display_name} <{email}>, once, within {options['minutes']} minutes:\n{link}")
