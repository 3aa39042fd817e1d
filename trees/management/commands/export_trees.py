"""manage.py export_trees: the data set as OASST JSON Lines."""

import gzip
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from oasst.core.commands import ServiceCommand
from trees.interchange import selection
from trees.interchange.output import complete_file
from trees.interchange.pseudonyms import SHORT_SEED
from trees.interchange.selection import Selection
from trees.interchange.writer import count_left_out_as_synthetic, nothing_matches, read_lines


class Command(ServiceCommand):
    help = (
        "Write message trees as OASST JSON Lines, in the order in which they came in: finished trees of people with "
        "their accepted messages unless the options say otherwise. People's ids are pseudonyms. One consistent "
        "snapshot, streamed; a file appears only when it is complete. Example: manage.py export_trees --output "
        "trees.jsonl.gz. With --state all --include-rejected --include-synthetic it is the whole site, but for what "
        "was deleted."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--output",
            "--export-file",
            type=Path,
            help="a file, compressed if it ends in .gz; standard output without",
        )
        selection.add_arguments(parser)
        selection.add_detail_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = selection.from_options(options)
        if chosen.anonymizer_seed is not None and len(chosen.anonymizer_seed) < SHORT_SEED:
            self.stderr.write(
                f"A seed of less than {SHORT_SEED} characters can be guessed, and with it who wrote what by everybody "
                "who knows their ids."
            )
        output: Path | None = options["output"]
        number = 0
        with self._open(output) as write:
            for line in read_lines(chosen):
                write(line + "\n")
                number += 1
        self._report(chosen, number, output)

    def _report(self, chosen: Selection, number: int, output: Path | None) -> None:
        what = "messages" if chosen.is_flat else "trees"
        self.stderr.write(f"{number} {what} written{f' to {output}' if output else ''}.")
        if left_out := count_left_out_as_synthetic(chosen):
            self.stderr.write(f"{left_out} trees with machine-made text stay out; --include-synthetic takes them in.")
        elif not number:
            self.stderr.write(nothing_matches(chosen))

    @contextmanager
    def _open(self, output: Path | None) -> Iterator[Callable[[str], object]]:
        if output is None:
            if isinstance(sys.stdout, TextIOWrapper):
                sys.stdout.reconfigure(encoding="utf-8")  # the data set is UTF-8, whatever the locale says
            yield self.stdout.write
            return
        opener = gzip.open if output.suffix == ".gz" else open
        with complete_file(output) as partial, opener(partial, "wt", encoding="utf-8", newline="\n") as file:
            yield file.write
