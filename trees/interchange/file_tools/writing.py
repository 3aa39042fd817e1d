"""Write trees or messages as the file that its name asks for. No database."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from oasst.core.errors import Invalid
from oasst.core.json_lines import dump_line
from trees.interchange.flat import Misfits, row_of_message, rows_of_tree
from trees.interchange.format import Node
from trees.interchange.output import complete_file, spool_folder, text_file
from trees.interchange.parquet import lines_to_parquet
from trees.interchange.schema_first import spool, typed_first

LINE_ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst")
ENDINGS = (*LINE_ENDINGS, ".parquet")


class Shape(StrEnum):
    TREES = "trees"  # one a line, as JSON Lines only
    MESSAGES = "messages"  # rows with the columns of OASST1 and OASST2


@dataclass
class Written:
    trees: int = 0
    messages: int = 0
    misfits: Misfits = field(default_factory=Misfits)
    """Per column, the number of values of another type, which are null in rows."""


def shape_for(output: Path, wanted: str | None = None) -> Shape:
    """Return what a file of this name holds. Raise Invalid for a name that says no format."""
    if not output.name.endswith(ENDINGS):
        raise Invalid(
            f"{output}: the name must end in {', '.join(ENDINGS)}, which says how it is written.", code="output"
        )
    if output.suffix == ".parquet" and wanted == Shape.TREES:
        raise Invalid("Parquet holds messages, one a row; trees are written as JSON Lines.", code="options")
    if wanted is not None:
        return Shape(wanted)
    return Shape.MESSAGES if output.suffix == ".parquet" else Shape.TREES


def write_file(nodes: Iterable[Node], output: Path, shape: Shape) -> Written:
    """Write trees, or single messages that name their trees. Raise Invalid if it cannot be written.

    The file appears when it is complete. Rows of JSON Lines begin with those that show the types of all columns.
    """
    written = Written()
    if shape is Shape.TREES:
        with text_file(output) as file:
            for node in nodes:
                _count(node, written)
                file.write(dump_line(node) + "\n")
        return written
    groups = _groups(nodes, written)
    if output.suffix == ".parquet":
        with complete_file(output) as partial, spool(spool_folder(output)) as spooled:
            for group in groups:
                spooled.add(group)
            lines_to_parquet(spooled.whole(), partial)
        return written
    with text_file(output) as file:
        for line in typed_first(groups, spool_folder(output)):
            file.write(line + "\n")
    return written


def _groups(nodes: Iterable[Node], written: Written) -> Iterator[list[Node]]:
    """Yield the rows of each tree, or each single message."""
    for node in nodes:
        if "prompt" in node:
            rows = list(rows_of_tree(node, written.misfits))
            written.trees += 1
        else:
            rows = [row_of_message(node, written.misfits)]
        written.messages += len(rows)
        yield rows


def _count(node: Node, written: Written) -> None:
    waiting = []
    if "prompt" in node:
        written.trees += 1
        waiting.append(node["prompt"])
    else:
        written.messages += 1
    while waiting:
        written.messages += 1
        waiting.extend(waiting.pop().get("replies") or ())
