"""manage.py simulate_reviews: how many reviews each rule needs, and how often it errs."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from oasst.simulation.reviewing.approaches import approaches
from oasst.simulation.reviewing.bound import least_reviews
from oasst.simulation.reviewing.crowds import GOOD, MIXES
from oasst.simulation.reviewing.play import FULL, Outcome, Play, interval
from trees.policies.reading import current_policy


class Command(BaseCommand):
    help = (
        "Let simulated reviewers of several kinds judge simulated texts, and compare rules: a fixed number of reviews, "
        "stopping when the outcome is certain, and reviews weighed by what is known of their authors. Shows reviews "
        "a text and both kinds of error with 95 % intervals, and how few reviews a text would do if all skills were "
        f"known and both errors as with three reviews. {GOOD:.1%} of the texts are good. Uses no database. "
        "Example: ./manage.py simulate_reviews --crowd mixed --seed 1"
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--crowd", choices=[*MIXES, "all"], default="all", help="default: %(default)s")
        parser.add_argument("--texts", type=int, default=20_000, help="default: %(default)s")
        parser.add_argument(
            "--seed",
            type=int,
            nargs="+",
            default=[1],
            help="the same seeds, the same figures; of several the sum is shown (default: 1)",
        )
        parser.add_argument(
            "--after", type=int, default=0, help="count only texts after so many: by then skills are known"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 <= options["after"] < options["texts"]:
            raise CommandError("--texts must be at least 1, and --after less than that.")
        for name in MIXES if options["crowd"] == "all" else [options["crowd"]]:
            self.stdout.write(f"\n{name}: {MIXES[name].description}")
            self.stdout.write(f"{'':32} reviews   fewer   bad accepted             good rejected")
            least = least_reviews(MIXES[name])
            fixed = None
            for approach in approaches(current_policy()):
                plays = (
                    Play(MIXES[name], approach, seed=seed).run(options["texts"], options["after"])
                    for seed in options["seed"]
                )
                outcome = sum(plays, Outcome())
                fixed = fixed or outcome
                self.stdout.write(_line(approach.name, outcome, fixed))
            self.stdout.write(f"{'at least, if all skills were known':34} {least:5.2f} {1 - least / FULL:7.0%}")


def _line(name: str, outcome: Outcome, fixed: Outcome) -> str:
    fewer = 1 - outcome.reviews_per_text / fixed.reviews_per_text
    accepted = _share(outcome.bad_accepted, outcome.bad)
    rejected = _share(outcome.good_rejected, outcome.good)
    return f"{name:32} {outcome.reviews_per_text:7.2f} {fewer:7.0%}   {accepted:22}   {rejected}"


def _share(part: int, whole: int) -> str:
    low, high = interval(part, whole)
    share = part / whole if whole else 0.0
    return f"{share:5.1%} ({low:.1%} to {high:.1%})"
