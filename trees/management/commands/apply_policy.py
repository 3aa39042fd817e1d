"""manage.py apply_policy: apply a changed policy to running trees."""

from argparse import ArgumentParser
from collections import Counter, defaultdict
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from django.db import transaction

from oasst.core.audit.recording import record
from oasst.core.jobs import PartialFailure, run_for_each
from oasst.embedded.commands import ServiceCommand
from trees import acts
from trees.lifecycle.policy_change import PolicyChange, apply_policy, running_trees
from trees.lifecycle.states import State
from trees.policies import reading


class Command(ServiceCommand):
    help = (
        "Apply the rules in force to running trees: their sizes and the numbers of reviews and rankings. "
        "Finished trees and decisions stay as they are. --dry-run shows exactly what would happen. Safe to run on a "
        "busy site, to stop and to repeat."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only print what would happen")
        parser.add_argument("--lang", default="", help="only the trees of this language")

    def handle(self, *args: Any, **options: Any) -> None:
        examined: Counter[State] = Counter()
        changes: dict[State, list[PolicyChange]] = defaultdict(list)
        failed = ""

        def apply_to(tree_id: UUID) -> None:
            change = apply_policy(tree_id=tree_id, policy=reading.read().policy, dry_run=options["dry_run"])
            examined[change.before] += 1
            if change.has_changes:
                changes[change.before].append(change)

        try:
            run_for_each(running_trees(options["lang"]).values_list("pk", flat=True).iterator(), apply_to)
        except PartialFailure as error:
            failed = str(error)
        for state in State:
            if examined[state]:
                self.stdout.write(f"{state}: {len(changes[state])} of {examined[state]} trees")
                self._report(changes[state])
        total = sum(map(len, changes.values()))
        if total and not options["dry_run"]:
            with transaction.atomic():
                record(acts.APPLY_POLICY, "trees.messagetree", after={"examined": examined.total(), "changed": total})
        done = "would change" if options["dry_run"] else "changed"
        self.stdout.write(f"{total} of {examined.total()} running trees {done}.")
        if failed:
            raise CommandError(failed)

    def _report(self, changes: list[PolicyChange]) -> None:
        counts: Counter[str] = Counter()
        for change in changes:
            for name, (before, after) in change.sizes.items():
                counts[f"trees: {name} {before} → {after}"] += 1
            if change.after != change.before:
                counts[f"trees: on to {change.after}"] += 1
            counts["messages: decided at once"] += change.decided
            counts["openings: added"] += change.opened
            counts["openings: removed"] += change.dropped
        for line, number in counts.most_common():
            if number:
                self.stdout.write(f"  {number:6} {line}")
