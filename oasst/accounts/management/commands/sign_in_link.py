"""Print a link that signs in a user."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from shlex import quote
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import transaction

from oasst.accounts import acts
from oasst.accounts.authentication import sign_in_links
from oasst.accounts.email_addresses import clean_email
from oasst.accounts.email_owners import find_owner
from oasst.core.audit.recording import record
from oasst.core.command_lines import LOCAL_ONLY_NOTICE, manage_command
from oasst.core.server_urls import is_local
from oasst.embedded.commands import ServiceCommand


class Command(ServiceCommand):
    help = """Print a link that signs a person in, once: for sites without mail, and for people whom no mail reaches.

The link is the last line. It works once, for a few minutes, and replaces an earlier one. Anybody who has it can sign
in as this person, so hand it over in private.

  sign_in_link ada@example.org
  sign_in_link ada@example.org --minutes 60
  create_user ada@example.org && ./manage.py sign_in_link ada@example.org      somebody new

It leads to the site of OASST_HOME, or to PORT or PUBLIC_URL if set.

Fails if nobody has this address."""

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
        user = find_owner(email)
        if user is None:
            raise CommandError(
                f"Nobody has the address {email}. `{manage_command(f'create_user {quote(email)}')}` makes an account."
            )
        with transaction.atomic():
            link = sign_in_links.make_link(user, minutes=options["minutes"])
            record(acts.SIGN_IN_LINK, user, person_id=user.pk)
        if is_local(settings.PUBLIC_URL):
            self.stdout.write(LOCAL_ONLY_NOTICE)
        self.stdout.write(f"Signs in {user.display_name} <{email}>, once, within {options['minutes']} minutes:\n{link}")
