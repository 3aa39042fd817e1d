"""Remove the second factor of a user who has lost it."""

from argparse import ArgumentParser
from typing import Any

from django.core.mail import send_mail
from django.core.management import CommandError
from django.db import transaction
from django.template.loader import render_to_string

from oasst.accounts import acts, email_owners
from oasst.accounts.authentication import second_factor
from oasst.accounts.models import Session
from oasst.core.audit.recording import record
from oasst.embedded.commands import ServiceCommand


class Command(ServiceCommand):
    help = """Remove the second factor of an account: the authenticator app, security keys and recovery codes.

First make sure that the request comes from the account owner. They are signed out everywhere, and a mail tells them.
Afterwards their mailbox or password is enough, until they set up another one. No page does this, because with the
stolen session of a moderator it would open any account."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", metavar="EMAIL", help="an address of the account")

    def handle(self, *args: Any, **options: Any) -> None:
        user = email_owners.find_owner(options["email"])
        if user is None:
            raise CommandError(f"Nobody has the address {options['email']}.")
        with transaction.atomic():
            if not second_factor.remove_all(user):
                raise CommandError(f"{user.email} has no second factor.")
            Session.end_all_of(user)
            record(acts.REMOVE_SECOND_FACTOR, user, person_id=user.pk)
        if user.email:
            text = render_to_string("account/email/second_factor_removed_message.txt")
            send_mail("Your second factor was taken off", text, None, [user.email])
        self.stdout.write(f"The second factor of {user.display_name} <{user.email}> is gone.")
