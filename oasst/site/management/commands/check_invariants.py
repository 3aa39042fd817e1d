"""manage.py check_invariants: compare stored counts, states and openings with the facts."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from oasst.core.audit.recording import record
from oasst.embedded.commands import ServiceCommand
from oasst.site import acts
from oasst.site.invariants import find_differences
from oasst.site.invariants.repair import repair
from oasst.site.invariants.run import BATCH
from trees.policies.reading import current_policy


class Command(ServiceCommand):
    help = (
        "Recompute counts, decisions, ranks, states, openings, tasks and the outbox from the facts, print each "
        "difference, and exit with 1 if there are any. Changes nothing and can run beside a busy site: each batch of "
        "trees is read in one snapshot. With --repair it mends what can be derived, prints what happened to each "
        "difference, and exits with 1 if any are left. That too can run beside a busy site, and repeatedly."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--batch", type=int, default=BATCH, help="trees in memory at once (%(default)s)")
        parser.add_argument("--repair", action="store_true", help="mend what can be derived from the facts")

    def _repair(self, batch: int) -> None:
        repaired = 0
        for done in repair(current_policy(), batch=batch):
            self.stdout.write(str(done))
            repaired += 1
        if repaired:
            with transaction.atomic():
                record(acts.REPAIR, "trees.messagetree", after={"repaired": repaired})

    def handle(self, *args: Any, **options: Any) -> None:
        if options["batch"] < 1:
            raise CommandError("--batch must be at least 1.")
        if options["repair"]:
            self._repair(options["batch"])
        trees = number = 0

        def count(read: int) -> None:
            nonlocal trees
            trees = read

        for difference in find_differences(current_policy(), batch=options["batch"], progress=count):
            self.stdout.write(f"still {difference}" if options["repair"] else str(difference))
            number += 1
        if number:
            raise CommandError(f"{number} {'difference' if number == 1 else 'differences'} in {trees} trees.")
        self.stdout.write(f"{trees} trees agree with their facts.")
