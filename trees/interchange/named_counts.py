"""Reactions and labels of a message in the two forms that files use. Pure.

By name: `{"+1": 3}`, `{"spam": {"value": 0.1, "count": 3}}`. As parallel lists, with the same keys in every message:
`{"name": ["+1"], "count": [3]}`, `{"name": ["spam"], "value": [0.1], "count": [3]}`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

Lists = dict[str, list[Any]]

PARTS = {"emojis": ("name", "count"), "labels": ("name", "value", "count")}


def are_lists(value: Any, key: str) -> TypeGuard[Lists]:
    """Return True if `value` has the second form, with unique names and a value for each."""
    if not isinstance(value, dict) or value.keys() != set(PARTS[key]):
        return False
    if not all(isinstance(part, list) and len(part) == len(value["name"]) for part in value.values()):
        return False
    names = value["name"]
    return all(isinstance(name, str) for name in names) and len(set(names)) == len(names)


def as_lists(key: str, named: Mapping[str, Any], order: Sequence[str] = ()) -> Lists:
    """Return the second form, with the names of `order` first. Raise ValueError if a label is not an object."""
    names = [name for name in order if name in named]
    names += [name for name in named if name not in order]
    if key == "emojis":
        return {"name": names, "count": [named[name] for name in names]}
    if not all(isinstance(label, dict) for label in named.values()):
        raise ValueError("a label is an object")
    values, counts = ([named[name].get(part) for name in names] for part in ("value", "count"))
    return {"name": names, "value": values, "count": counts}


def by_name(key: str, lists: Lists) -> dict[str, Any]:
    if key == "emojis":
        return dict(zip(lists["name"], lists["count"], strict=True))
    parts = zip(lists["name"], lists["value"], lists["count"], strict=True)
    return {name: {"value": value, "count": count} for name, value, count in parts}
