"""What the commands that write the data set share."""

import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

from django.core.management.base import OutputWrapper

from oasst.core.commands import ServiceCommand
from trees.interchange import selection
from trees.interchange.output import text_file
from trees.interchange.pseudonyms import SHORT_SEED
from trees.interchange.selection import Selection
from trees.interchange.writer import count_left_out_as_synthetic, nothing_matches


class ExportCommand(ServiceCommand):
    output_help = ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--output", "--export-file", type=Path, help=self.output_help)
        selection.add_arguments(parser)

    def selection(self, options: dict[str, Any]) -> Selection:
        """What the options select. Raises Invalid; warns about a seed that hides little."""
        chosen = selection.from_options(options)
        if chosen.anonymizer_seed is not None and len(chosen.anonymizer_seed) < SHORT_SEED:
            self.stderr.write(
                f"A seed of less than {SHORT_SEED} characters can be guessed, and with it who wrote what by everybody "
                "who knows their ids."
            )
        return chosen

    def write_lines(self, lines: Iterable[str], output: Path | None) -> int:
        """Write them to a file or to standard output. Returns how many they were. Raises Invalid."""
        number = 0
        with self._open(output) as file:
            for line in lines:
                file.write(line + "\n")
                number += 1
        return number

    @contextmanager
    def _open(self, output: Path | None) -> Iterator[IO[str] | OutputWrapper]:
        if output is not None:
            with text_file(output) as file:
                yield file
            return
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # the data set is UTF-8, whatever the locale says
        yield self.stdout

    def report(self, chosen: Selection, number: int, what: str, output: Path | None) -> None:
        self.stderr.write(f"{number} {what} written{f' to {output}' if output else ''}.")
        if left_out := count_left_out_as_synthetic(chosen):
            self.stderr.write(f"{left_out} trees with machine-made text stay out; --include-synthetic takes them in.")
        elif not number:
            self.stderr.write(nothing_matches(chosen))

    def report_misfits(self, misfits: Counter[str]) -> None:
        """Say what of imported files is null in the output, because its column has another type."""
        if misfits:
            found = ", ".join(f"{name} ({number})" for name, number in sorted(misfits.items()))
            self.stderr.write(
                f"Null, because a file gave values of another type: {found}. A plain export_trees has them."
            )
