"""manage.py check_invariants: do the stored counts, states and places say what the facts say?"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from oasst.core.commands import ServiceCommand
from oasst.invariants import differences
from oasst.invariants.run import BATCH
from trees.policy import current_policy


class Command(ServiceCommand):
    help = (
        "Recompute counts, decisions, ranks, states, openings, tasks and the outbox from the facts, print each "
        "difference, and exit with 1 if there is any. Changes nothing, and may run beside a busy site: each batch of "
        "trees is read in one snapshot."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--batch", type=int, default=BATCH, help="trees in memory at once (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["batch"] < 1:
            raise CommandError("--batch must be at least 1.")
        trees = number = 0

        def count(read: int) -> None:
            nonlocal trees
            trees = read

        for difference in differences(current_policy(), batch=options["batch"], progress=count):
            self.stdout.write(str(difference))
            number += 1
        if number:
            raise CommandError(f"{number} {'difference' if number == 1 else 'differences'} in {trees} trees.")
        self.stdout.write(f"{trees} trees agree with their facts.")
