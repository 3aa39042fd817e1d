"""The data set for trusted API clients, streamed from the database."""

from collections.abc import Iterator

from rest_framework import serializers

from oasst.api.fields import BooleanField, ChoiceField, IntegerField, LanguageTagField, Schema, TextField
from oasst.api.operations import Access, Call, Operation, operation
from trees.interchange.selection import ALL_STATES, from_options
from trees.interchange.topics import refuse_unknown_topics
from trees.interchange.writer import read_lines
from trees.lifecycle.states import State

OPERATIONS: list[Operation] = []
JSONL = "application/x-ndjson"


class ExportQuery(Schema):
    state = ChoiceField((ALL_STATES, *State), default=State.READY_FOR_EXPORT.value)
    lang = LanguageTagField(default=None)
    prompts_only = BooleanField(default=False, help_text="The first message of each tree and no replies.")
    include_deleted = BooleanField(default=False)
    deleted_only = BooleanField(default=False, help_text="Single messages instead of trees.")
    include_rejected = BooleanField(default=False, help_text="Rejected and undecided messages too.")
    rejected_only = BooleanField(default=False, help_text="Single messages instead of trees.")
    include_synthetic = BooleanField(default=False, help_text="Trees that hold text of a machine too.")
    synthetic_only = BooleanField(default=False, help_text="The messages of such trees alone, one per line.")
    topic = TextField(
        default=None, allow_blank=False, help_text="Only trees whose prompt has a topic with these words in its name."
    )
    exclude_topic = TextField(default=None, allow_blank=False, help_text="No trees of such a topic.")
    without_near_duplicates = BooleanField(
        default=False, help_text="Without what is nearly the same as an earlier message, and what is below it."
    )
    labels = BooleanField(default=True, help_text="With the means of what reviewers said.")
    events = BooleanField(default=False, help_text="With each single reaction, skip and ranking.")
    real_user_ids = BooleanField(default=False, help_text="People's ids as they are here, instead of pseudonyms.")
    max_count = IntegerField(default=None, min_value=1, help_text="So many lines at most.")


@operation(
    OPERATIONS,
    "GET",
    "export/trees",
    Access.TRUSTED,
    query=ExportQuery,
    answer=serializers.CharField(
        help_text="Message trees as OASST JSON Lines, one per line; single messages where the query asks for them."
    ),
    media=JSONL,
    unnumbered_statuses=(503,),
)
def export_trees(call: Call) -> Iterator[str]:
    """The data set as of now, tree by tree in the order of arrival. An answer that breaks off is incomplete."""
    chosen = from_options({**call.query, "limit": call.query["max_count"]})
    refuse_unknown_topics(chosen)  # before the answer begins
    return read_lines(chosen)
