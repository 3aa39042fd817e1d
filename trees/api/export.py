"""The data set for trusted programs, while it is being read from the database."""

from collections.abc import Iterator

from rest_framework import serializers

from oasst.api.fields import Choice, Flag, Language, Shape, Whole
from oasst.api.operations import Access, Call, Operation, operation
from trees.interchange.selection import ALL_STATES, from_options
from trees.interchange.writer import read_lines
from trees.lifecycle.states import State

OPERATIONS: list[Operation] = []
JSONL = "application/x-ndjson"


class ExportQuery(Shape):
    state = Choice((ALL_STATES, *State), default=State.READY_FOR_EXPORT.value)
    lang = Language(default=None)
    prompts_only = Flag(default=False, help_text="The first message of each tree and no replies.")
    include_deleted = Flag(default=False)
    deleted_only = Flag(default=False, help_text="Single messages instead of trees.")
    include_rejected = Flag(default=False, help_text="Rejected and undecided messages too.")
    rejected_only = Flag(default=False, help_text="Single messages instead of trees.")
    include_synthetic = Flag(default=False, help_text="Trees that hold text of a machine too.")
    synthetic_only = Flag(default=False, help_text="The messages of such trees alone, one a line.")
    labels = Flag(default=True, help_text="With the means of what reviewers said.")
    events = Flag(default=False, help_text="With each single reaction, skip and ranking.")
    real_user_ids = Flag(default=False, help_text="People's ids as they are here, instead of pseudonyms.")
    max_count = Whole(default=None, min_value=1, help_text="So many lines at most.")


@operation(
    OPERATIONS,
    "GET",
    "export/trees",
    Access.TRUSTED,
    query=ExportQuery,
    answer=serializers.CharField(
        help_text="Message trees as OASST JSON Lines, one a line; single messages where the query asks for them."
    ),
    media=JSONL,
    plain=(503,),
)
def export_trees(call: Call) -> Iterator[str]:
    """The data set as it is at this moment, tree by tree in the order in which they came in. An answer that breaks off
    before its end is not whole.
    """
    return read_lines(from_options({**call.query, "limit": call.query["max_count"]}))
