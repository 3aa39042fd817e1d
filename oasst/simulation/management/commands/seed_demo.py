"""manage.py seed_demo: a small living site to look at."""

import secrets
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from oasst.core.command_lines import manage
from oasst.core.errors import Busy
from oasst.core.server_urls import is_local
from oasst.embedded.commands import ServiceCommand
from oasst.simulation.crowd import demo
from oasst.simulation.crowd.people import SAMPLES
from trees.lifecycle.policy import current_policy


class Command(ServiceCommand):
    help = (
        "Import the conversations of tests/data and let a dozen demo people bring others to every stage, so that each "
        "kind of work waits for whoever comes in. Running it again adds nothing. Leaves a site alone where other "
        "people have unfinished English conversations. A password is made, and printed once, only on a terminal and "
        "where PUBLIC_URL is local or DEBUG is on; `sign_in_link` lets in any of them."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        policy = current_policy()
        folder = settings.BASE_DIR / SAMPLES
        if demo.work_of_others():
            self.stdout.write("No demo: other people have unfinished conversations in English here.")
            return
        local = settings.DEBUG or is_local(settings.PUBLIC_URL)
        # Whatever is no terminal is kept as a log, and passwords do not stand in logs.
        password = secrets.token_urlsafe(9) if local and self.stdout.isatty() else None
        try:
            imported = demo.import_samples(folder, policy)
            made = demo.make_people(password)
            demo.Stage(folder, demo.find_people(), policy).set()
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from error
        except Busy as error:
            raise CommandError(f"{error.message} Then run this again: it goes on where it was.") from error
        except demo.CanNotSeed as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{imported.trees} conversations imported, {imported.skipped} were here already.")
        self.stdout.write(f"{len(made)} demo people came, {len(demo.find_people()) + 1 - len(made)} were here already.")
        if made and password:
            self.stdout.write(f"Sign in as {made[0].email}, or as the moderator {made[-1].email}: password {password}")
        elif made:
            self.stdout.write(
                f"`{manage(f'sign_in_link {made[0].email}')}` lets you in, or {made[-1].email}, a moderator."
            )
