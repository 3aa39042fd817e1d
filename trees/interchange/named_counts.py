"""Reactions and labels of a message in the two shapes that files give them. Pure.

By name: `{"+1": 3}`, `{"spam": {"value": 0.1, "count": 3}}`. As parallel lists, which have the same keys in every
message: `{"name": ["+1"], "count": [3]}`, `{"name": ["spam"], "value": [0.1], "count": [3]}`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

Lists = dict[str, list[Any]]

PARTS = {"emojis": ("name", "count"), "labels": ("name", "value", "count")}


def are_lists(value: Any, key: str) -> TypeGuard[Lists]:
    """Is this the second shape of `key`, with names that occur once and a value for each?"""
    if not isinstance(value, dict) or value.keys() != set(PARTS[key]):
        return False
    if not all(isinstance(part, list) and len(part) == len(value["name"]) for part in value.values()):
        return False
    names = value["name"]
    return all(isinstance(name, str) for name in names) and len(set(names)) == len(names)


def as_lists(key: str, named: Mapping[str, Any], order: Sequence[str] = ()) -> Lists:
    """The second shape, with the names of `order` first. Raises ValueError where a label is no object."""
    names = [name for name in order if name in named]
    names += [name for name in named if name not in order]
    if key == "emojis":
        return {"name": names, "count": [named[name] for name in names]}
    if not all(isinstance(one, dict) for one in named.values()):
        raise ValueError("a label is an object")
    values, counts = ([named[name].get(part) for name in names] for part in ("value", "count"))
    return {"name": names, "value": values, "count": counts}


def by_name(key: str, lists: Lists) -> dict[str, Any]:
    if key == "emojis":
        return dict(zip(lists["name"], lists["count"], strict=True))
    parts = zip(lists["name"], lists["value"], lists["count"], strict=True)
    return {name: {"value": value, "count": count} for name, value, count in parts}
