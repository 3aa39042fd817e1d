"""The data set for trusted programs, while it is being read from the database."""

from collections.abc import Iterator
from typing import Any

from rest_framework import serializers

from oasst.api.fields import Choice, Flag, Language, Shape, Whole
from oasst.api.operations import Access, Call, Operation, operation
from trees.interchange.writer import ExportFilter, read_lines
from trees.states import State

OPERATIONS: list[Operation] = []
ALL = "all"
JSONL = "application/x-ndjson"


class ExportQuery(Shape):
    state = Choice((ALL, *State), default=State.READY_FOR_EXPORT.value)
    lang = Language(default=None)
    exclude_synthetic = Flag(default=False, help_text="Without trees that hold text of a machine.")
    include_deleted = Flag(default=False)
    include_rejected = Flag(default=False, help_text="Rejected and undecided messages too.")
    max_count = Whole(default=None, min_value=1, help_text="So many trees at most.")


@operation(
    OPERATIONS,
    "GET",
    "export/trees",
    Access.TRUSTED,
    query=ExportQuery,
    answer=serializers.CharField(help_text="Message trees as OASST JSON Lines, one a line."),
    media=JSONL,
    plain=(503,),
)
def export_trees(call: Call) -> Iterator[str]:
    """The data set as it is at this moment, tree by tree in the order in which they came in. An answer that breaks off
    before its end is not whole.
    """
    query: dict[str, Any] = call.query
    which = ExportFilter(
        state=None if query["state"] == ALL else State(query["state"]),
        lang=query["lang"],
        exclude_synthetic=query["exclude_synthetic"],
        include_deleted=query["include_deleted"],
        include_rejected=query["include_rejected"],
        limit=query["max_count"],
    )
    return read_lines(which)
