"""manage.py replay_arrivals: what becomes of the prompts when people come as they came to the reference system."""

import secrets
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError, connection

from oasst.embedded.commands import ServiceCommand, close_connections
from oasst.simulation.replay.arrivals import Scene
from oasst.simulation.replay.play import play
from oasst.simulation.replay.report import lines, report
from oasst.site.invariants import differences
from trees.lifecycle.policy import current_policy

LINE_EVERY = 30  # seconds


class Command(ServiceCommand):
    help = (
        "Play weeks of arrivals with the proportions of Open-Assistant's first twelve weeks (many prompts, fewer "
        "replies, few reviewers) through the services, under a virtual clock and in a database of its own that is "
        "removed at the end, and report what became of the prompts, how long they waited and who was refused why. "
        "Example: ./manage.py replay_arrivals --scale 0.02 --reviews 0.5"
    )
    needs_tables = False
    begins_site = True  # for its own database

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--weeks", type=float, default=12, help="default: %(default)s")
        parser.add_argument(
            "--scale", type=float, default=0.01, help="the share of the reference's people and visits (%(default)s)"
        )
        parser.add_argument("--seed", type=int, default=1, help="the same seed, the same history (%(default)s)")
        for name in ("prompts", "replies", "reviews", "rankings"):
            parser.add_argument(f"--{name}", type=float, default=1, metavar="FACTOR", help="so many times as many come")
        parser.add_argument(
            "--unmatched",
            action="store_true",
            help="never measure what languages carry; only the policy's numbers bound",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        names = ("weeks", "scale", "prompts", "replies", "reviews", "rankings")
        for name in names:
            if options[name] < 0 or (name in names[:2] and not options[name]):
                raise CommandError(f"--{name} must be more than 0.")
        policy, began, said = current_policy(), time.monotonic(), time.monotonic()

        def progress(share: float) -> None:
            nonlocal said
            if time.monotonic() - said >= LINE_EVERY:
                said = time.monotonic()
                self.stderr.write(f"{share:.0%} of the visits, {said - began:.0f} s")

        with _database_of_its_own(), _nobody_else_hears():
            scene = Scene(**{name: options[name] for name in names})
            played = play(scene, policy, seed=options["seed"], matched=not options["unmatched"], progress=progress)
            for line in lines(report(played)):
                self.stdout.write(line)
            broken = sum(1 for _ in differences(policy))
        self.stdout.write(f"Played in {time.monotonic() - began:.0f} s. check_invariants finds {broken} differences.")
        if broken:
            raise CommandError("The replay broke an invariant.")


@contextmanager
def _database_of_its_own() -> Iterator[None]:
    """Beside the site's, on the same server: made, migrated, and removed at the end."""
    close_connections()
    name = connection.settings_dict["NAME"]
    connection.settings_dict["TEST"]["NAME"] = f"replay_{secrets.token_hex(6)}"
    try:
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    except (DatabaseError, SystemExit) as error:
        raise CommandError("The replay needs a role that may create databases.") from error
    try:
        with connection.cursor() as cursor:  # nothing here has to survive
            cursor.execute(f"ALTER DATABASE {connection.settings_dict['NAME']} SET synchronous_commit = off")
        close_connections()
        yield
    finally:
        close_connections()
        connection.creation.destroy_test_db(name, verbosity=0)


@contextmanager
def _nobody_else_hears() -> Iterator[None]:
    """Weeks in minutes would meet the rate limits, and the site's workers must not get jobs about messages that they do
    not have.
    """
    limits, broker = settings.RATE_LIMITS, current_app.conf.broker_url
    settings.RATE_LIMITS = False
    current_app.conf.update(broker_url="memory://")
    try:
        yield
    finally:
        settings.RATE_LIMITS = limits
        current_app.conf.update(broker_url=broker)
