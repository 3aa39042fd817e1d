"""manage.py export_messages: the data set as rows, one per message."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from trees.interchange.flat import row_of_message, rows_of_tree
from trees.interchange.format import Node
from trees.interchange.output import complete_file, spool_folder
from trees.interchange.parquet import lines_to_parquet
from trees.interchange.schema_first import spool, typed_first
from trees.interchange.selection import Selection
from trees.interchange.writer import consistent_read, read_nodes
from trees.management.export_command import ExportCommand

ENDINGS = (".jsonl", ".jsonl.gz", ".parquet")


class Command(ExportCommand):
    help = (
        "Write messages as rows with the columns of the OASST1 and OASST2 data sets, for datasets, pandas and other "
        "readers of JSON Lines or Parquet. The messages of a tree are adjacent, each before its replies. The options "
        "are those of export_trees. One consistent snapshot in constant memory; a file appears only when it is "
        "complete. Example: ./manage.py export_messages --output messages.parquet"
    )
    output_help = f"a file that ends in {', '.join(ENDINGS)}; JSON Lines to standard output without"

    def handle(self, *args: Any, **options: Any) -> None:
        chosen, output = self.selection(options), options["output"]
        if output is not None and not output.name.endswith(ENDINGS):
            raise CommandError(f"{output}: the name must end in {', '.join(ENDINGS)}, which says how it is written.")
        misfits: Counter[str] = Counter()
        groups = _groups(chosen, misfits)
        if output is not None and output.suffix == ".parquet":
            number = _write_parquet(groups, output)
        else:
            number = self.write_lines(typed_first(groups, spool_folder(output)), output)
        self.report(chosen, number, "messages", output)
        self.report_misfits(misfits)


def _groups(chosen: Selection, misfits: Counter[str]) -> Iterator[list[Node]]:
    """Yield the rows of each tree, or each row alone if single messages are selected."""
    for node in read_nodes(chosen):
        yield [row_of_message(node, misfits)] if chosen.is_flat else list(rows_of_tree(node, misfits))


def _write_parquet(groups: Iterator[list[Node]], output: Path) -> int:
    with complete_file(output) as partial, spool(spool_folder(output)) as spooled, consistent_read():
        for group in groups:
            spooled.add(group)
        lines_to_parquet(spooled.whole(), partial)
    return spooled.count
