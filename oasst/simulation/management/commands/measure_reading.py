"""manage.py measure_reading: how well machines read labelled samples."""

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from inference.engine.base import EngineError
from oasst.embedded.commands import ServiceCommand
from oasst.simulation.measuring import labelled, reading, similarity
from trees.enrichment import embeddings

KINDS = ("language", "personal-data", "duplicates", "toxicity")


class Command(ServiceCommand):
    help = (
        "Print how well machines read labelled samples: precision, recall, and the false alarms they give. Toxicity is "
        "that of the classifier of this site (TOXICITY_URL, OASST_TOXICITY_MODEL), meaning that of its embedding model."
    )
    needs_tables = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all if none is named")
        parser.add_argument(
            "--samples", type=Path, metavar="DIR", default=labelled.FOLDER, help="(default: %(default)s)"
        )
        parser.add_argument("--faults", action="store_true", help="also each text that was read wrongly")

    def handle(self, *args: Any, **options: Any) -> None:
        for kind in options["kinds"]:
            if kind not in KINDS:
                raise CommandError(f"There is no sample for {kind!r}. Choose from {', '.join(KINDS)}.")
        try:
            for kind in options["kinds"] or KINDS:
                for line in _measure(kind, options["samples"], faults=options["faults"]):
                    self.stdout.write(line)
        except (EngineError, OSError, ValueError) as error:
            raise CommandError(str(error)) from error


def _measure(kind: str, folder: Path, *, faults: bool) -> Iterator[str]:
    match kind:
        case "language":
            return reading.measure_languages(folder, faults=faults)
        case "personal-data":
            return reading.measure_personal_data(folder, faults=faults)
        case "toxicity":
            return reading.measure_toxicity(folder, faults=faults)
    return _measure_duplicates(folder)


def _measure_duplicates(folder: Path) -> Iterator[str]:
    if not embeddings.is_on():
        yield "Near-duplicates: nothing to measure, OASST_EMBEDDINGS is none"
        return
    for name in ("prompt_pairs_en.tsv", "prompt_pairs_many.tsv", "prompt_pairs_across.tsv"):
        yield f"Near-duplicates, {name}:"
        yield from (f"  {line}" for line in similarity.judge(similarity.read_pairs(folder / name)))
