"""The forms in which a snapshot publishes its trees: the columns of each, and the function that makes its rows.

Pure: no database, no file. Each row has all columns of its form, unknown values are null, and the rows of a tree always
come in the same order.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from trees.interchange.conversations import CHAT, LABELS, prompt_rows, thread_rows
from trees.interchange.flat import OF_THE_TREE, Type
from trees.interchange.format import Node
from trees.interchange.preferences import kto_rows, pair_rows, ranking_rows
from trees.interchange.tree_record import MESSAGE_COLUMNS, RANKING_COLUMNS, REVIEW_COLUMNS, TreeRecord

Row = dict[str, Any]


@dataclass(frozen=True)
class Form:
    name: str
    columns: dict[str, Type]
    make_rows: Callable[[TreeRecord], Iterable[Row]]
    description: str  # one sentence for the readers of the data set

    def rows(self, record: TreeRecord) -> Iterator[Row]:
        """Yield the rows of a tree, with all keys in the order of the columns, whatever their order in the record."""
        for row in self.make_rows(record):
            yield {name: in_order(row[name], kind) for name, kind in self.columns.items()}


def in_order(value: Any, kind: Type) -> Any:
    """Return a value of this type, with the keys of its structs in their order."""
    if isinstance(kind, dict) and value is not None:
        return {name: in_order(value[name], part) for name, part in kind.items()}
    if isinstance(kind, list) and value is not None and not isinstance(kind[0], str):
        return [in_order(element, kind[0]) for element in value]
    return value


def message_rows(record: TreeRecord) -> Iterator[Row]:
    """Yield all messages, each before its replies."""
    tree = {key: record.tree[key] for key in OF_THE_TREE}
    waiting: list[Node] = [record.tree["prompt"]]
    while waiting:
        node = waiting.pop()
        yield {**node, **tree}
        waiting.extend(reversed(node["replies"]))


_CONVERSATION: dict[str, Type] = {"message_tree_id": "string", "lang": "string"}
_ABOUT_A_PROMPT: dict[str, Type] = {**_CONVERSATION, "prompt_id": "string"}
_BASES: dict[str, Type] = {"bases": ["string"]}

FORMS: tuple[Form, ...] = (
    Form("messages", MESSAGE_COLUMNS, message_rows, "All messages of the trees, each before its replies."),
    Form(
        "prompts",
        {**_CONVERSATION, "prompt": CHAT, "tree_state": "string", "review_labels": LABELS, **_BASES},
        prompt_rows,
        "Accepted initial prompts, also of trees that did not grow yet.",
    ),
    Form(
        "threads",
        {
            **_CONVERSATION,
            "messages": CHAT,
            "message_ids": ["string"],
            "top_k": "int32",
            "review_labels": LABELS,
            **_BASES,
        },
        thread_rows,
        "Conversations from the prompt to a last accepted reply, for supervised fine-tuning.",
    ),
    Form(
        "pairs",
        {
            **_ABOUT_A_PROMPT,
            "chosen_id": "string",
            "rejected_id": "string",
            "prompt": CHAT,
            "chosen": CHAT,
            "rejected": CHAT,
            "preference_share": "float64",
            "rankings": "int32",
            "chosen_rank": "int32",
            "rejected_rank": "int32",
            "near_tie": "bool",
            **_BASES,
        },
        pair_rows,
        "Two replies to the same conversation, the better one first, for reward models and DPO.",
    ),
    Form(
        "rankings",
        {
            **_ABOUT_A_PROMPT,
            "prompt": CHAT,
            "replies": [{"message_id": "string", "content": "string", "rank": "int32", "score": "float64"}],
            "rankings": "int32",
            **_BASES,
        },
        ranking_rows,
        "All ranked replies to the same conversation, best first, for listwise losses.",
    ),
    Form(
        "kto",
        {
            **_ABOUT_A_PROMPT,
            "completion_id": "string",
            "prompt": CHAT,
            "completion": CHAT,
            "label": "bool",
            "decided_by": "string",
            **_BASES,
        },
        kto_rows,
        "Single replies that are clearly good or clearly bad, for KTO and binary classifiers.",
    ),
    Form(
        "review_events",
        REVIEW_COLUMNS,
        lambda record: record.reviews,
        "Each review with its labels, as one person gave it.",
    ),
    Form(
        "ranking_events",
        RANKING_COLUMNS,
        lambda record: record.rankings,
        "Each ranking of replies, as one person gave it.",
    ),
)
