"""manage.py simulate_reviews: how many reviews each rule needs, and how often it errs."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from oasst.simulation.reviewing.approaches import approaches
from oasst.simulation.reviewing.crowds import GOOD, MIXES
from oasst.simulation.reviewing.play import Outcome, Play, interval
from trees.lifecycle.policy import current_policy


class Command(BaseCommand):
    help = (
        "Let simulated reviewers of several kinds judge simulated texts, and compare rules: a fixed number of reviews, "
        "stopping when the outcome is certain, and reviews weighed by what is known of their authors. Shows reviews "
        f"a text and both kinds of error with 95 % intervals. {GOOD:.1%} of the texts are good. Uses no database. "
        "Example: ./manage.py simulate_reviews --crowd mixed --seed 1"
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--crowd", choices=[*MIXES, "all"], default="all", help="default: %(default)s")
        parser.add_argument("--texts", type=int, default=20_000, help="default: %(default)s")
        parser.add_argument("--seed", type=int, default=1, help="the same seed, the same figures (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["texts"] < 1:
            raise CommandError("--texts must be at least 1.")
        for name in MIXES if options["crowd"] == "all" else [options["crowd"]]:
            self.stdout.write(f"\n{name}: {MIXES[name].description}")
            self.stdout.write(f"{'':32} reviews   fewer   bad accepted             good rejected")
            fixed = None
            for approach in approaches(current_policy()):
                outcome = Play(MIXES[name], approach, seed=options["seed"]).run(options["texts"])
                fixed = fixed or outcome
                self.stdout.write(_line(approach.name, outcome, fixed))


def _line(name: str, outcome: Outcome, fixed: Outcome) -> str:
    fewer = 1 - outcome.reviews_per_text / fixed.reviews_per_text
    accepted = _share(outcome.bad_accepted, outcome.bad)
    rejected = _share(outcome.good_rejected, outcome.good)
    return f"{name:32} {outcome.reviews_per_text:7.2f} {fewer:7.0%}   {accepted:22}   {rejected}"


def _share(part: int, whole: int) -> str:
    low, high = interval(part, whole)
    share = part / whole if whole else 0.0
    return f"{share:5.1%} ({low:.1%} to {high:.1%})"
