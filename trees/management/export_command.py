"""The base of the commands that write the data set."""

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
from trees.interchange.writer import consistent_read, count_synthetic_left_out, nothing_matches


class ExportCommand(ServiceCommand):
    output_help = ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--output", "--export-file", type=Path, help=self.output_help)
        selection.add_arguments(parser)

    def selection(self, options: dict[str, Any]) -> Selection:
        """Return the selection of these options. Raise Invalid; warn about a seed that is easy to guess."""
        chosen = selection.from_options(options)
        if chosen.anonymizer_seed is not None and len(chosen.anonymizer_seed) < SHORT_SEED:
            self.stderr.write(
                f"A seed of less than {SHORT_SEED} characters can be guessed. Then everybody who knows people's ids "
                "can find out who wrote what."
            )
        return chosen

    def write_lines(self, lines: Iterable[str], output: Path | None) -> int:
        """Write the lines to a file or standard output and return their number. Raise Invalid or CommandError."""
        number = 0
        with self._standard_output() if output is None else text_file(output) as file, consistent_read():
            for line in lines:
                file.write(line + "\n")
                number += 1
        return number

    @contextmanager
    def _standard_output(self) -> Iterator[OutputWrapper]:
        """Yield standard output. Raise CommandError if it cannot be written, SystemExit if its reader (`head`) has
        ended.
        """
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # the data set is UTF-8 in every locale
        try:
            yield self.stdout
            self.stdout.flush()  # flush here, where errors can still be reported
        except BrokenPipeError:
            _discard_buffer()
            sys.exit(128 + signal.SIGPIPE)  # the exit status of a program killed by SIGPIPE
        except OSError as error:
            _discard_buffer()
            raise CommandError(f"Standard output cannot be written: {error.strerror or error}") from error

    def report(self, chosen: Selection, number: int, what: str, output: Path | None) -> None:
        self.stderr.write(f"{number} {what} written{f' to {output}' if output else ''}.")
        if left_out := count_synthetic_left_out(chosen):
            self.stderr.write(f"{left_out} trees with machine-made text stay out; --include-synthetic takes them in.")
        elif not number:
            self.stderr.write(nothing_matches(chosen))

    def report_misfits(self, misfits: Counter[str]) -> None:
        """Report which values of imported files are null in the output because their column has another type."""
        if misfits:
            columns = ", ".join(f"{name} ({number})" for name, number in sorted(misfits.items()))
            self.stderr.write(
                f"Null, because a file gave values of another type: {columns}. A plain export_trees has them."
            )


def _discard_buffer() -> None:
    """Discard the buffer, or Python would write it at exit and fail again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
