"""What the format knows of a line, down to the last key: an anonymized file holds nothing else. Pure.

Whoever wrote a file may have put names anywhere in it. What stands under keys that the format does not have is left
out, and what is of another type than the format says is null. Ids are kept here, whatever they are: `Pseudonyms`
replaces them.
"""

from dataclasses import dataclass
from typing import Any

from trees.interchange.format import Node
from trees.interchange.named_counts import PARTS, are_lists


@dataclass(frozen=True)
class _ByName:
    """An object whose keys are not fixed, such as the names of labels."""

    kind: Any


_ID = object  # an id of another program may be anything
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
    "replies": [dict],  # each made by itself
}
_LISTS = {key: {"name": [str], **{part: [_NUMBER] for part in parts[1:]}} for key, parts in PARTS.items()}


def known_of_tree(line: Node) -> Node:
    """What stands beside the prompt."""
    found: Node = _fitting(line, _OF_TREE)
    return found


def known_of_message(node: Node) -> Node:
    kinds = _OF_MESSAGE | {key: lists for key, lists in _LISTS.items() if are_lists(node.get(key), key)}
    found: Node = _fitting(node, kinds)
    return found


def _fitting(value: Any, kind: Any) -> Any:
    """What of a JSON value is of a kind; null if nothing is. The kinds are types, `[kind of the elements]`, objects
    with fixed keys and objects with any.
    """
    if isinstance(kind, list):
        return [_fitting(one, kind[0]) for one in value] if isinstance(value, list) else None
    if isinstance(kind, _ByName):
        return {key: _fitting(one, kind.kind) for key, one in value.items()} if isinstance(value, dict) else None
    if isinstance(kind, dict):
        if not isinstance(value, dict):
            return None
        return {key: _fitting(one, kind[key]) for key, one in value.items() if key in kind}
    if isinstance(value, bool) and kind not in (bool, object):  # no number
        return None
    return value if isinstance(value, kind) else None
