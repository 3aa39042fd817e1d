"""manage.py make_scale_data: a database of the target size."""

import time
from argparse import ArgumentParser
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from oasst.embedded.commands import ServiceCommand
from oasst.simulation.scale import bulk
from oasst.simulation.scale.fill import fill
from oasst.simulation.scale.rows import COLUMNS
from trees.policies.reading import current_policy


class Command(ServiceCommand):
    help = (
        "Fill a database without trees with made-up trees in all states, and with the users who wrote, reviewed and "
        "ranked them, for measuring. All or nothing; check_invariants is clean afterwards. The same seed makes the "
        "same data, except for the dates, which end now. Nobody else should use the database meanwhile, since its "
        "indexes are rebuilt. Example: ./manage.py make_scale_data --trees 100000"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--trees", type=int, required=True, help="how many trees")
        parser.add_argument(
            "--active", type=int, default=300, help="how many of them grow, are in review or ranked (%(default)s)"
        )
        parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["trees"] < 1 or options["active"] < 0:
            raise CommandError("--trees must be at least 1, and --active at least 0.")
        began = time.monotonic()
        made = fill(
            trees=options["trees"],
            active=options["active"],
            seed=options["seed"],
            policy=current_policy(),
            now=timezone.now(),
            progress=self._progress(options["trees"]),
        )
        if not connection.in_atomic_block:  # a test calls the command inside its own transaction
            scores = [model._meta.db_table for model in apps.get_app_config("leaderboard").get_models()]
            bulk.vacuum([*COLUMNS, *scores])
        self.stdout.write(
            f"{made.trees} trees with {made.messages} messages by {made.people} people "
            f"in {time.monotonic() - began:.0f} seconds."
        )

    def _progress(self, trees: int) -> Any:
        if not self.stderr.isatty():
            return None
        return lambda written: self.stderr.write(f"\r{written} of {trees} trees written", ending="")
