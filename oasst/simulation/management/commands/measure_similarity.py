"""manage.py measure_similarity: how well and how fast similar prompts are found."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from inference.engine.base import EngineError
from oasst.embedded.commands import ServiceCommand
from oasst.simulation.measuring import similarity
from trees.models import MessageEmbedding, MessageTree, TextSketch


class Command(ServiceCommand):
    help = (
        "With --pairs, say how many pairs of prompts that ask the same are found, and how many others. Else fill an "
        "empty database with prompts and measure how long the search for similar ones takes."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--pairs", type=Path, help="lines of `same` or `other` and two prompts, between tabs")
        parser.add_argument("--prompts", type=int, default=100_000, help="how many (default: %(default)s)")
        parser.add_argument(
            "--embedded",
            type=int,
            default=10_000,
            help="how many of them the model reads; the others get mixtures of these vectors (default: %(default)s)",
        )
        parser.add_argument("--times", type=int, default=300, help="searches (default: %(default)s)")
        parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["pairs"]:
                self.stdout.write("\n".join(similarity.judge(similarity.read_pairs(options["pairs"]))))
            else:
                self._measure(options)
        except (EngineError, OSError, ValueError) as error:
            raise CommandError(str(error)) from error

    def _measure(self, options: dict[str, Any]) -> None:
        if MessageTree.objects.exists():
            raise CommandError("There are trees already. Start this on an empty database.")
        similarity.make_prompts(options["prompts"], options["seed"])
        for read in similarity.read_prompts(options["embedded"], options["seed"]):
            if read % 10_000 == 0:
                self.stdout.write(f"{read} prompts read")
                self.stdout.flush()
        counts = MessageTree.objects.count(), TextSketch.objects.count(), MessageEmbedding.objects.count()
        self.stdout.write("{} prompts, {} sketches, {} embeddings".format(*counts))
        self.stdout.write("\n".join(similarity.time_searches(options["times"], options["seed"]).table()))
