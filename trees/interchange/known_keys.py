"""The keys of the format, to the last level: an anonymized file contains nothing else. Pure.

A file may contain names anywhere. Unknown keys are left out, and values of a wrong type become null. Ids are kept here,
whatever they are: `Pseudonyms` replaces them.
"""

from dataclasses import dataclass
from typing import Any

from trees.interchange.format import Node
from trees.interchange.named_counts import PARTS, are_lists


@dataclass(frozen=True)
class _ByName:
    """An object with arbitrary keys, such as the names of labels."""

    kind: Any


_ID = object  # an id of another system may have any type
_NUMBER = int | float
_EVENT = {"type": str, "user_id": _ID}
_RANKING = {
    "ranking": [_NUMBER],
    "ranked_message_ids": _ID,
    "ranking_parent_id": _ID,
    "message_tree_id": _ID,
    "not_rankable": bool,
}
_OF_TREE = {"message_tree_id": _ID, "tree_state": str}
_OF_MESSAGE: dict[str, Any] = {
    "message_id": _ID,
    "parent_id": _ID,
    "user_id": _ID,
    "created_date": str,
    "text": str,
    "role": str,
    "lang": str,
    "review_count": _NUMBER,
    "review_result": bool,
    "deleted": bool,
    "rank": _NUMBER,
    "synthetic": bool,
    "model_name": str,
    "emojis": _ByName(_NUMBER),
    "labels": _ByName({"value": _NUMBER, "count": _NUMBER}),
    "events": {
        "emoji": [_EVENT | {"emoji": str}],
        "rating": [_EVENT | {"rating": str}],
        "ranking": [_EVENT | _RANKING],
        "report": [_EVENT | {"report_type": str, "reason": str}],
        "score": [_EVENT | {"score": _NUMBER}],
    },
    "detoxify": _ByName(_NUMBER),
    "replies": [dict],  # each is written separately
}
_LISTS = {key: {"name": [str], **{part: [_NUMBER] for part in parts[1:]}} for key, parts in PARTS.items()}


def known_tree_keys(line: Node) -> Node:
    """Return the known keys of a tree, beside the prompt."""
    result: Node = _fitting(line, _OF_TREE)
    return result


def known_message_keys(node: Node) -> Node:
    kinds = _OF_MESSAGE | {key: lists for key, lists in _LISTS.items() if are_lists(node.get(key), key)}
    result: Node = _fitting(node, kinds)
    return result


def _fitting(value: Any, kind: Any) -> Any:
    """Return what of a JSON value matches `kind`, or None.

    Kinds are types, `[kind of the elements]`, objects with fixed keys, and objects with any keys.
    """
    if isinstance(kind, list):
        return [_fitting(element, kind[0]) for element in value] if isinstance(value, list) else None
    if isinstance(kind, _ByName):
        return {key: _fitting(part, kind.kind) for key, part in value.items()} if isinstance(value, dict) else None
    if isinstance(kind, dict):
        if not isinstance(value, dict):
            return None
        return {key: _fitting(part, kind[key]) for key, part in value.items() if key in kind}
    if isinstance(value, bool) and kind not in (bool, object):  # a bool is no number
        return None
    return value if isinstance(value, kind) else None
