"""manage.py replay_arrivals: what becomes of prompts when people arrive as they did in the reference system."""

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
from oasst.site.invariants import find_differences
from trees.policies.reading import current_policy

LINE_EVERY = 30  # seconds


class Command(ServiceCommand):
    help = (
        "Play weeks of arrivals with the proportions of Open-Assistant's first twelve weeks (many prompts, fewer "
        "replies, few reviewers) through the services, with a virtual clock and in a separate database that is removed "
        "at the end, and report what became of the prompts, how long they waited and who was refused why. "
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
            parser.add_argument(f"--{name}", type=float, default=1, metavar="FACTOR", help="multiplies how many come")
        parser.add_argument(
            "--unmatched",
            action="store_true",
            help="never measure what languages can carry; only the policy limits the supply",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        names = ("weeks", "scale", "prompts", "replies", "reviews", "rankings")
        for name in names:
            if options[name] < 0 or (name in names[:2] and not options[name]):
                raise CommandError(f"--{name} must be more than 0.")
        policy, began, printed = current_policy(), time.monotonic(), time.monotonic()

        def progress(share: float) -> None:
            nonlocal printed
            if time.monotonic() - printed >= LINE_EVERY:
                printed = time.monotonic()
                self.stderr.write(f"{share:.0%} of the visits, {printed - began:.0f} s")

        with _separate_database(), _no_limits_and_no_jobs():
            scene = Scene(**{name: options[name] for name in names})
            played = play(scene, policy, seed=options["seed"], matched=not options["unmatched"], progress=progress)
            for line in lines(report(played)):
                self.stdout.write(line)
            broken = sum(1 for _ in find_differences(policy))
        self.stdout.write(f"Played in {time.monotonic() - began:.0f} s. check_invariants finds {broken} differences.")
        if broken:
            raise CommandError("The replay broke an invariant.")


@contextmanager
def _separate_database() -> Iterator[None]:
    """Use a new database on the same server, migrated, and removed at the end."""
    close_connections()
    name = connection.settings_dict["NAME"]
    connection.settings_dict["TEST"]["NAME"] = f"replay_{secrets.token_hex(6)}"
    try:
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    except (DatabaseError, SystemExit) as error:
        raise CommandError("The replay needs a role that may create databases.") from error
    try:
        with connection.cursor() as cursor:  # a crash may lose this data
            cursor.execute(f"ALTER DATABASE {connection.settings_dict['NAME']} SET synchronous_commit = off")
        close_connections()
        yield
    finally:
        close_connections()
        connection.creation.destroy_test_db(name, verbosity=0)


@contextmanager
def _no_limits_and_no_jobs() -> Iterator[None]:
    """Turn off rate limits, since weeks pass in minutes, and send no jobs to workers, which use the site's database."""
    limits, broker = settings.RATE_LIMITS, current_app.conf.broker_url
    settings.RATE_LIMITS = False
    current_app.conf.update(broker_url="memory://")
    try:
        yield
    finally:
        settings.RATE_LIMITS = limits
        current_app.conf.update(broker_url=broker)
