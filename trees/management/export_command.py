"""What the commands that write the data set share."""

import os
import signal
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, OutputWrapper

from oasst.embedded.commands import ServiceCommand
from trees.interchange import selection
from trees.interchange.output import text_file
from trees.interchange.pseudonyms import SHORT_SEED
from trees.interchange.selection import Selection
from trees.interchange.writer import count_left_out_as_synthetic, nothing_matches, one_view


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
        """Write them to a file or to standard output. Returns how many they were. Raises Invalid or CommandError."""
        number = 0
        with self._standard_output() if output is None else text_file(output) as file, one_view():
            for line in lines:
                file.write(line + "\n")
                number += 1
        return number

    @contextmanager
    def _standard_output(self) -> Iterator[OutputWrapper]:
        """Raises CommandError where it cannot be written, and SystemExit where its reader has enough, as `head` has."""
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # the data set is UTF-8, whatever the locale says
        try:
            yield self.stdout
            self.stdout.flush()  # here, where an error can still be told
        except BrokenPipeError:
            _drop_the_rest()
            sys.exit(128 + signal.SIGPIPE)  # as a program that does not know the signal
        except OSError as error:
            _drop_the_rest()
            raise CommandError(f"Standard output cannot be written: {error.strerror or error}") from error

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


def _drop_the_rest() -> None:
    """What is in the buffer goes nowhere: Python would write it when it ends, and complain again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
