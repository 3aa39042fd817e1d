"""manage.py simulate_review_order: how long texts wait for a decision if a model's predictions order reviews."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from oasst.simulation.reviewing.crowds import MIXES
from oasst.simulation.reviewing.order import LOADS, ORDERS, play
from trees.lifecycle.consensus import MajorityRule
from trees.policies.reading import current_policy


class Command(BaseCommand):
    help = (
        "Let simulated texts wait for simulated reviewers, in several orders: by age alone, and by predictions of a "
        "model with an AUC of 0.90. Shows the hours until a decision (mean, 95th percentile, longest), of good and of "
        "bad texts. Uses no database. Example: ./manage.py simulate_review_order --days 20 --seed 1"
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--crowd", choices=MIXES, default="mixed", help="default: %(default)s")
        parser.add_argument("--days", type=int, default=12, help="default: %(default)s")
        parser.add_argument("--seed", type=int, default=1, help="the same seed, the same figures (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] < 1:
            raise CommandError("--days must be at least 1.")
        policy = current_policy()
        rule = MajorityRule(policy.num_reviews_initial_prompt, policy.acceptance_threshold_initial_prompt)
        for load in LOADS:
            self.stdout.write(f"\n{load.name}")
            self.stdout.write(f"{'':34}good, mean   95 %  longest  bad, mean    95 %  longest")
            for name, key in ORDERS.items():
                waits = play(MIXES[options["crowd"]], load, key, rule, hours=options["days"] * 24, seed=options["seed"])
                self.stdout.write(f"{name:34}    {waits.line()}")
                self.stdout.flush()
