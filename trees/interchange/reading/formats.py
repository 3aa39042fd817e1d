"""The formats that are read, and how each is recognized by an object of it. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oasst.core.errors import Invalid
from trees.interchange.format import Node
from trees.interchange.named_counts import PARTS, are_lists, by_name
from trees.interchange.reading.conversations import tree_of_hh_rlhf, tree_of_lmsys, tree_of_sharegpt
from trees.interchange.reading.foreign_ids import without_nulls


@dataclass(frozen=True)
class Format:
    name: str
    description: str
    is_format: Callable[[Node], bool]
    tree_of: Callable[[Node], Node] | None
    """Returns the tree of one object, or raises Invalid. None if an object is a message, so that a tree needs many."""


def _tree_of_record(record: Node) -> Node:
    """Return the tree of a snapshot, as `export_trees` writes it: without nulls, labels by their names.

    Single judgments beside it are kept with it.
    """
    tree: Node = without_nulls(record["tree"])
    waiting = [tree["prompt"]]
    while waiting:
        node = waiting.pop()
        for key in PARTS:
            if are_lists(node.get(key), key):
                node[key] = by_name(key, node[key])
        waiting.extend(node.get("replies", ()))
    return tree | {key: value for key, value in record.items() if key != "tree" and value}


FORMATS = (
    Format(
        "trees",
        "OASST trees: message_tree_id, tree_state, prompt with nested replies",
        lambda record: "message_tree_id" in record and "prompt" in record,
        lambda record: record,
    ),
    Format(
        "tree-records",
        "trees with their reviews and rankings: tree, reviews, rankings",
        lambda record: isinstance(record.get("tree"), dict) and "prompt" in record["tree"],
        _tree_of_record,
    ),
    Format(
        "messages",
        "OASST1 and OASST2 messages, one a row, in any order: message_id, parent_id, text, role, …",
        lambda record: "message_id" in record and "text" in record,
        None,
    ),
    Format(
        "sharegpt",
        "ShareGPT: conversations, a list of from and value (or messages, a list of role and content)",
        lambda record: isinstance(record.get("conversations", record.get("messages")), list),
        tree_of_sharegpt,
    ),
    Format(
        "lmsys",
        "LMSYS-like chats: conversation_id, model, conversation",
        lambda record: isinstance(record.get("conversation"), list),
        tree_of_lmsys,
    ),
    Format(
        "hh-rlhf",
        "HH-RLHF pairs: chosen, rejected",
        lambda record: isinstance(record.get("chosen"), str) and isinstance(record.get("rejected"), str),
        tree_of_hh_rlhf,
    ),
)
BY_NAME = {one.name: one for one in FORMATS}


def recognize(record: Any) -> Format:
    """Return the format of an object. Raise Invalid if it is none of them."""
    if not isinstance(record, dict):
        raise Invalid("a line must be a JSON object", code="not_a_tree")
    for one in FORMATS:
        if one.is_format(record):
            return one
    keys = ", ".join(repr(key)[:20] for key in list(record)[:8]) or "none"
    raise Invalid(f"no known format: it has the keys {keys}. Formats: {', '.join(BY_NAME)}", code="unknown_format")
