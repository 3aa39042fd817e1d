"""manage.py export_trees: the data set as OASST JSON Lines."""

from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import CommandError

from trees.interchange import selection
from trees.interchange.flat import row_of_message, with_constant_keys
from trees.interchange.output import spool_folder
from trees.interchange.schema_first import typed_first
from trees.interchange.writer import read_lines, read_nodes
from trees.management.export_command import ExportCommand


class Command(ExportCommand):
    help = (
        "Write message trees as OASST JSON Lines, in order of arrival: finished trees without machine-made text, with "
        "their accepted messages unless the options say otherwise. People's ids are pseudonyms. One consistent "
        "snapshot, streamed; a file appears only when it is complete. Example: ./manage.py export_trees --output "
        "trees.jsonl.gz. With --state all --include-rejected --include-synthetic it is the whole site, except deleted "
        "messages."
    )
    output_help = "a file, compressed if it ends in .gz; standard output without"

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        selection.add_detail_arguments(parser)
        parser.add_argument(
            "--constant-keys",
            action="store_true",
            help="the columns of export_messages in every message, null if unknown, and no others, for "
            "programs that learn types from the first lines; trees that show a type come first",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        chosen, output = self.selection(options), options["output"]
        if chosen.events and options["constant_keys"]:
            raise CommandError("Events have no constant keys: leave out --export-events or --constant-keys.")
        misfits: Counter[str] = Counter()
        if options["constant_keys"]:
            make = row_of_message if chosen.is_flat else with_constant_keys
            groups = ([make(node, misfits)] for node in read_nodes(chosen))
            lines = typed_first(groups, spool_folder(output))
        else:
            lines = read_lines(chosen)
        number = self.write_lines(lines, output)
        self.report(chosen, number, "messages" if chosen.is_flat else "trees", output)
        self.report_misfits(misfits)
