"""manage.py measure_quality: how well the quality model tells accepted and rejected prompts apart."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from inference.engine.base import EngineError
from oasst.simulation.measuring.quality import measure, read_texts


class Command(BaseCommand):
    help = (
        "Learn which prompts of a sample are accepted, and show how good the predictions are about prompts that the "
        "model has not seen, for several features and penalties. Uses no database, and the site's embedding "
        "model. Example: ./manage.py measure_quality --accepted tests/data/prompts_en_125.jsonl "
        "tests/data/trees_en_50.jsonl --rejected tests/data/labelled/rejected_en.tsv"
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        for kind in ("accepted", "rejected"):
            parser.add_argument(
                f"--{kind}",
                type=Path,
                nargs="+",
                required=True,
                metavar="FILE",
                help="one a line: JSON strings, exported trees, or columns between tabs of which the last is the text",
            )
        parser.add_argument(
            "--wrong", type=float, default=0.0, help="turn so many of the verdicts around, 0 to 0.5 (%(default)s)"
        )
        parser.add_argument("--seed", type=int, default=1, help="which ones (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            accepted, rejected = (
                [text for file in options[kind] for text in read_texts(file)] for kind in ("accepted", "rejected")
            )
            if not 0 <= options["wrong"] <= 0.5:
                raise CommandError("--wrong must be between 0 and 0.5.")
            for line in measure(accepted, rejected, wrong=options["wrong"], seed=options["seed"]):
                self.stdout.write(line)
        except (EngineError, OSError, ValueError) as error:
            raise CommandError(str(error)) from error
