"""manage.py export_trees: the data set as OASST JSON Lines."""

import gzip
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from oasst.core.commands import ServiceCommand
from oasst.core.text import clean_pool_tag
from trees.interchange.writer import ExportFilter, nothing_matches, read_lines
from trees.states import State


class Command(ServiceCommand):
    help = (
        "Write message trees as OASST JSON Lines, in the order in which they came in: finished trees with their "
        "accepted messages unless the options say otherwise. One consistent snapshot, streamed; a file appears only "
        "when it is complete. Example: manage.py export_trees --output trees.jsonl.gz"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--output", type=Path, help="a file, compressed if it ends in .gz; standard output without")
        states = ["all", *(state.value for state in State)]
        parser.add_argument("--state", choices=states, default=State.READY_FOR_EXPORT.value, help="default: finished")
        parser.add_argument("--lang", help="only trees of this language; pt-br and pt-BR are one")
        parser.add_argument("--limit", type=int, help="the first N trees")
        parser.add_argument("--exclude-synthetic", action="store_true", help="leave out trees with machine-made text")
        parser.add_argument("--include-deleted", action="store_true", help="deleted messages too")
        parser.add_argument("--include-rejected", action="store_true", help="rejected and undecided messages too")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["limit"] is not None and options["limit"] < 1:
            raise CommandError("--limit must be at least 1.")
        which = ExportFilter(
            state=None if options["state"] == "all" else State(options["state"]),
            lang=None if options["lang"] is None else clean_pool_tag(options["lang"]),
            limit=options["limit"],
            exclude_synthetic=options["exclude_synthetic"],
            include_deleted=options["include_deleted"],
            include_rejected=options["include_rejected"],
        )
        output: Path | None = options["output"]
        with self._open(output) as write:
            number = 0
            for line in read_lines(which):
                write(line + "\n")
                number += 1
        self.stderr.write(f"{number} trees written{f' to {output}' if output else ''}.")
        if not number:
            self.stderr.write(nothing_matches(which))

    @contextmanager
    def _open(self, output: Path | None) -> Iterator[Callable[[str], object]]:
        if output is None:
            if isinstance(sys.stdout, TextIOWrapper):
                sys.stdout.reconfigure(encoding="utf-8")  # the data set is UTF-8, whatever the locale says
            yield self.stdout.write
            return
        partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
        opener = gzip.open if output.suffix == ".gz" else open
        try:
            with opener(partial, "wt", encoding="utf-8", newline="\n") as file:
                yield file.write
            partial.replace(output)
        except OSError as error:
            raise CommandError(f"{output}: can not be written: {error.strerror}") from error
        finally:
            partial.unlink(missing_ok=True)
