"""manage.py seed_demo: fill the site with demo conversations."""

import secrets
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from oasst.core.command_lines import manage_command
from oasst.core.errors import Busy
from oasst.core.server_urls import is_local
from oasst.embedded.commands import ServiceCommand
from oasst.simulation.crowd import demo
from oasst.simulation.crowd.people import SAMPLES
from trees.policies.reading import current_policy


class Command(ServiceCommand):
    help = (
        "Import the conversations of tests/data and let a dozen demo users take others to every stage, so that there "
        "is work of each kind. Running it again adds nothing. Does nothing on a site where other users have unfinished "
        "English conversations. A password is made, and printed once, only on a terminal and if PUBLIC_URL is local "
        "or DEBUG is on; `sign_in_link` signs in any of them."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        policy = current_policy()
        folder = settings.BASE_DIR / SAMPLES
        if demo.has_work_of_others():
            self.stdout.write("No demo: other people have unfinished conversations in English here.")
            return
        local = settings.DEBUG or is_local(settings.PUBLIC_URL)
        # Without a terminal the output may go to a log, which must not contain passwords.
        password = secrets.token_urlsafe(9) if local and self.stdout.isatty() else None
        try:
            imported = demo.import_samples(folder, policy)
            made = demo.make_people(password)
            demo.Stage(folder, demo.find_people(), policy).set()
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from error
        except Busy as error:
            raise CommandError(f"{error.message} Then run this again: it goes on where it was.") from error
        except demo.CannotSeed as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{imported.trees} conversations imported, {imported.skipped} existed already.")
        existing = len(demo.find_people()) + 1 - len(made)
        self.stdout.write(f"{len(made)} demo users created, {existing} existed already.")
        if made and password:
            self.stdout.write(f"Sign in as {made[0].email}, or as the moderator {made[-1].email}: password {password}")
        elif made:
            self.stdout.write(
                f"`{manage_command(f'sign_in_link {made[0].email}')}` lets you in, or {made[-1].email}, a moderator."
            )
