"""manage.py apply_policy: let running trees follow a changed policy."""

from argparse import ArgumentParser
from collections import Counter, defaultdict
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError

from oasst.core.jobs import SomeFailed, one_by_one
from oasst.embedded.commands import ServiceCommand
from trees.lifecycle.policy import current_policy
from trees.lifecycle.policy_change import Change, apply, running_trees
from trees.lifecycle.states import State


class Command(ServiceCommand):
    help = (
        "Let running trees follow the present TREE_POLICY: their sizes, how many reviews and rankings they ask for. "
        "Finished trees and what was decided stay as they are. --dry-run foretells exactly what would happen. Safe "
        "beside a busy site, to stop and to run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would happen")

    def handle(self, *args: Any, **options: Any) -> None:
        looked: Counter[State] = Counter()
        changes: dict[State, list[Change]] = defaultdict(list)
        failed = ""

        def look(tree_id: UUID) -> None:
            change = apply(tree_id=tree_id, policy=current_policy(), dry_run=options["dry_run"])
            looked[change.before] += 1
            if change.is_any:
                changes[change.before].append(change)

        try:
            one_by_one(running_trees(), look)
        except SomeFailed as error:
            failed = str(error)
        for state in State:
            if looked[state]:
                self.stdout.write(f"{state}: {len(changes[state])} of {looked[state]} trees")
                self._tell(changes[state])
        total = sum(map(len, changes.values()))
        done = "would change" if options["dry_run"] else "changed"
        self.stdout.write(f"{total} of {looked.total()} running trees {done}.")
        if failed:
            raise CommandError(failed)

    def _tell(self, changes: list[Change]) -> None:
        told: Counter[str] = Counter()
        for change in changes:
            for name, (before, after) in change.sizes.items():
                told[f"trees: {name} {before} → {after}"] += 1
            if change.after != change.before:
                told[f"trees: on to {change.after}"] += 1
            told["messages: decided at once"] += change.decided
            told["places: opened"] += change.opened
            told["places: dropped"] += change.dropped
        for line, number in told.most_common():
            if number:
                self.stdout.write(f"  {number:6} {line}")
