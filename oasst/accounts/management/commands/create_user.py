"""Create a user."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from shlex import quote
from typing import Any

from django.conf import settings
from django.db import transaction

from oasst.accounts import acts, consent, registration, tokens
from oasst.accounts.access import how_to_accept_terms
from oasst.accounts.documents import TERMS
from oasst.accounts.models import Role
from oasst.core.audit.recording import record
from oasst.core.audit.rows import new_row
from oasst.core.command_lines import manage_command
from oasst.embedded.commands import ServiceCommand


class Command(ServiceCommand):
    help = """Make an account for a person.

The address counts as verified, so the person can sign in at once: with the password if one is given, with a link that
`./manage.py sign_in_link EMAIL` prints, or, where the site sends mail (EMAIL_URL), with a mailed code.
Without --display-name the person gets a friendly two-word name, which they can change.
The person is asked to agree to the terms at the first sign-in. Until then their token can neither write nor chat.
With --token, let the person agree first, or give --accept-terms if they have read the terms and told you so.

  create_user ada@example.org
  create_user ada@example.org --display-name "Ada L." --role moderator
  TOKEN=$(./manage.py create_user me@example.org --token --accept-terms | tail -n 1)

Fails, and changes nothing, when the address already has an account."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", metavar="EMAIL", help="the address that the person signs in with")
        parser.add_argument("--display-name", default="", metavar="N", help="how others see the person")
        parser.add_argument(
            "--role",
            default=Role.GENERAL.value,
            choices=[str(role) for role in Role.values],
            help="what the person may do; general unless given",
        )
        parser.add_argument(
            "--password", metavar="P", help="a password; other users of this machine can see it while this runs"
        )
        parser.add_argument(
            "--token", action="store_true", help="also make an API token and print it as the last line; shown only now"
        )

        parser.add_argument(
            "--accept-terms",
            action="store_true",
            help="record that the person agrees to the terms, as they told you",
        )

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        user = registration.create_user(
            email=options["email"],
            display_name=options["display_name"],
            role=options["role"],
            password=options["password"],
        )
        before, after = new_row("user", user, ("role",))
        record(acts.CREATE, user, person_id=user.pk, before=before, after=after)
        lines = [f"Created {user.display_name} <{user.email}>, {user.role}, id {user.id}."]
        if options["accept_terms"]:
            consent.accept_terms(user)
            lines.append(f"Agreed to version {TERMS.version} of the terms.")
        if options["token"] and not options["accept_terms"]:
            lines.append(
                f"The token writes and chats once the person has agreed to the terms, {how_to_accept_terms()}."
            )
        if options["token"]:
            lines.append(tokens.new_token(user, "made with the account")[1])
        elif not (options["password"] or settings.SENDS_MAIL):
            lines += ["A link that signs them in:", f"  {manage_command(f'sign_in_link {quote(str(user.email))}')}"]
        self.stdout.write("\n".join(lines))
