"""manage.py import_trees: message trees from OASST JSON Lines files."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from oasst.embedded.commands import ServiceCommand
from trees.interchange.reader import import_files
from trees.lifecycle.policy import current_policy


class Command(ServiceCommand):
    help = (
        "Import message trees from OASST JSON Lines files (one tree per line, plain or .gz). Texts, ranks, reactions "
        "and unknown keys are stored as the file has them. Trees that already exist are skipped, so importing twice "
        "is harmless. A bad line stops the import and changes nothing. To export such a file again: export_trees "
        "--include-synthetic, since trees with machine-made text stay out otherwise. Example: ./manage.py import_trees "
        "tests/data/trees_en_50.jsonl"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--backlog",
            action="store_true",
            help="let them wait for ranking here, whatever state the files give: rankers get the oldest first while "
            "they have room; trees without two accepted replies to one message are not accepted",
        )
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="JSON Lines, .gz when compressed")

    def handle(self, *args: Any, **options: Any) -> None:
        result = import_files(options["files"], policy=current_policy(), to_backlog=options["backlog"])
        self.stdout.write(
            f"{result.trees} trees with {result.messages} messages imported, {result.skipped} already here."
        )
