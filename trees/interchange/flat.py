"""Messages as rows: the columns of the published data sets OASST1 and OASST2. Pure: no database, no file.

Every row has all columns, each value is of the type of its column, and what is not known is null. A tree with constant
keys is the same facts, nested.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC
from math import isfinite
from typing import Any

from django.utils.dateparse import parse_datetime

from oasst.core.timestamps import in_utc
from trees.interchange.format import Node
from trees.interchange.named_counts import PARTS, are_lists, as_lists
from trees.lifecycle.states import State

Type = str | list[Any] | dict[str, Any]
"""The name of a scalar type, `[type of the elements]`, or `{name: type}` for a struct."""

DETOXIFY = ("toxicity", "severe_toxicity", "obscene", "identity_attack", "insult", "threat", "sexual_explicit")
COLUMNS: dict[str, Type] = {
    "message_id": "string",
    "parent_id": "string",
    "user_id": "string",
    "created_date": "string",
    "text": "string",
    "role": "string",
    "lang": "string",
    "review_count": "int32",
    "review_result": "bool",
    "deleted": "bool",
    "rank": "int32",
    "synthetic": "bool",
    "model_name": "string",
    "detoxify": dict.fromkeys(DETOXIFY, "float64"),
    "message_tree_id": "string",
    "tree_state": "string",
    "emojis": {"name": ["string"], "count": ["int32"]},
    "labels": {"name": ["string"], "value": ["float64"], "count": ["int32"]},
}
# What a file does not say is not known, but the site knows what is deleted.
WITHOUT_A_WORD = {"deleted": False}
_LARGEST_INT32 = 2**31 - 1
OF_THE_TREE = ("message_tree_id", "tree_state")

Misfits = Counter[str]
"""By column: how many values of imported files are of another type, and null in the row."""


def rows_of_tree(line: Node, misfits: Misfits) -> Iterator[Node]:
    """The messages of a tree as rows, each before its replies."""
    # A file may have left out the state of a tree that waits to be ranked.
    tree = {
        "message_tree_id": line["message_tree_id"],
        "tree_state": line.get("tree_state") or State.BACKLOG_RANKING.value,
    }
    waiting: list[tuple[Node, str | None]] = [(line["prompt"], None)]
    while waiting:
        node, parent_id = waiting.pop()
        yield row_of_message({**node, **tree, "parent_id": parent_id}, misfits)
        waiting.extend((reply, node["message_id"]) for reply in reversed(node.get("replies") or ()))


def row_of_message(node: Node, misfits: Misfits) -> Node:
    """The row of one message that names its tree."""
    row: Node = {}
    for name, kind in COLUMNS.items():
        row[name] = WITHOUT_A_WORD.get(name)
        try:
            if node.get(name) is not None:
                row[name] = _value(node[name], name, kind)
        except (ValueError, OverflowError):
            misfits[name] += 1
    return row


def with_constant_keys(line: Node, misfits: Misfits) -> Node:
    """A tree whose nodes all have the same keys: those of rows, and `replies`."""
    nodes: dict[str | None, Node] = {}
    for row in rows_of_tree(line, misfits):
        tree = {key: row.pop(key) for key in OF_THE_TREE}
        node = nodes[row["message_id"]] = {**row, "replies": []}
        if node["parent_id"] is None:
            top = {**tree, "prompt": node}
        else:
            nodes[node["parent_id"]]["replies"].append(node)
    return top


def _value(value: Any, name: str, kind: Type) -> Any:
    """Raises ValueError or OverflowError if it is not of this type."""
    if name == "created_date":
        value = _moment(value)
    elif name in PARTS and not are_lists(name, value):
        value = as_lists(name, _dict(value)) if value else None
    found = _of_type(value, kind)
    if isinstance(found, dict) and all(part in (None, []) for part in found.values()):
        return None
    return found


def _of_type(value: Any, kind: Type) -> Any:
    if value is None:
        return None
    if isinstance(kind, dict):
        return {name: _of_type(_dict(value).get(name), part) for name, part in kind.items()}
    if isinstance(kind, list):
        return [_of_type(one, kind[0]) for one in value]
    return _SCALARS[kind](value)


def _moment(value: Any) -> str:
    """In UTC with microseconds, so that no reader takes some dates for another type than others."""
    found = parse_datetime(_string(value))
    if found is None:
        raise ValueError
    return in_utc(found, zone=UTC).isoformat(timespec="microseconds")


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _float64(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    number = float(value)
    if not isfinite(number):  # JSON has no such number
        raise ValueError
    return number


def _int32(value: Any) -> int:
    number = _float64(value)  # programs that know no whole numbers write 3.0
    if number != int(number) or abs(number) > _LARGEST_INT32:
        raise ValueError
    return int(number)


_SCALARS: dict[str, Callable[[Any], Any]] = {"string": _string, "bool": _bool, "int32": _int32, "float64": _float64}
