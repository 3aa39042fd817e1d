"""Messages as rows with the columns of the published data sets OASST1 and OASST2. Pure: no database, no file.

Every row has all columns, each value has the type of its column, and unknown values are null. A tree with constant keys
holds the same values, nested.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC
from math import isfinite
from typing import Any, TypeVar

from django.utils.dateparse import parse_datetime

from oasst.core.timestamps import to_utc
from trees.interchange.format import Node
from trees.interchange.named_counts import PARTS, are_lists, as_lists
from trees.lifecycle.states import State

T = TypeVar("T")
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
# Unknown in a file, but the site knows which messages are deleted.
DEFAULTS = {"deleted": False}
_LARGEST_INT32 = 2**31 - 1
OF_THE_TREE = ("message_tree_id", "tree_state")

Misfits = Counter[str]
"""Per column, the number of imported values of another type, which are null in the row."""


def rows_of_tree(line: Node, misfits: Misfits) -> Iterator[Node]:
    """Yield the messages of a tree as rows, each before its replies."""
    # A file may lack the state of a tree that waits for ranking.
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
    """Return the row of a message that names its tree."""
    row: Node = {}
    for name, kind in COLUMNS.items():
        row[name] = DEFAULTS.get(name)
        try:
            if node.get(name) is not None:
                row[name] = _value(node[name], name, kind)
        except (ValueError, OverflowError):
            misfits[name] += 1
    return row


def with_constant_keys(line: Node, misfits: Misfits) -> Node:
    """Return a tree whose nodes all have the same keys: those of rows, and `replies`."""
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
    """Convert a value to this type. Raise ValueError or OverflowError if that is impossible."""
    if name == "created_date":
        value = _moment(value)
    elif name in PARTS and not are_lists(name, value):
        value = as_lists(name, _instance(value, dict)) if value else None
    converted = _of_type(value, kind)
    if isinstance(converted, dict) and all(part in (None, []) for part in converted.values()):
        return None
    return converted


def _of_type(value: Any, kind: Type) -> Any:
    if value is None:
        return None
    if isinstance(kind, dict):
        return {name: _of_type(_instance(value, dict).get(name), part) for name, part in kind.items()}
    if isinstance(kind, list):
        return [_of_type(element, kind[0]) for element in value]
    return _SCALARS[kind](value)


def _moment(value: Any) -> str:
    """Return the date in UTC with microseconds: in one format, so that readers see one type."""
    parsed = parse_datetime(_instance(value, str))
    if parsed is None:
        raise ValueError
    return to_utc(parsed, zone=UTC).isoformat(timespec="microseconds")


def _instance(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise ValueError
    return value


def _float64(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    number = float(value)
    if not isfinite(number):  # JSON has no infinity or NaN
        raise ValueError
    return number


def _int32(value: Any) -> int:
    number = _float64(value)  # some programs write integers as 3.0
    if number != int(number) or abs(number) > _LARGEST_INT32:
        raise ValueError
    return int(number)


_SCALARS: dict[str, Callable[[Any], Any]] = {
    "string": lambda value: _instance(value, str),
    "bool": lambda value: _instance(value, bool),
    "int32": _int32,
    "float64": _float64,
}
