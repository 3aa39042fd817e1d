"""Ids for files that have none of ours: the same content has the same id, so an import can be repeated. Pure."""

import json
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from trees.interchange.format import Node

_NAMESPACE = uuid5(NAMESPACE_URL, "https://open-assistant.io/imported-conversations")


def id_of_content(format_name: str, record: Any) -> UUID:
    """Return the id of a tree, a UUID of version 5 (RFC 9562). Null members do not matter: Parquet adds them."""
    return uuid5(_NAMESPACE, f"{format_name}\n{json.dumps(without_nulls(record), sort_keys=True)}")


def id_of_part(tree_id: UUID, part: str) -> UUID:
    """Return the id of a message of this tree by its place in the file's object."""
    return uuid5(tree_id, part)


def without_nulls(value: Any) -> Any:
    """Return the value without null members of objects, at any depth."""
    if isinstance(value, dict):
        return {key: without_nulls(part) for key, part in value.items() if part is not None}
    return [without_nulls(part) for part in value] if isinstance(value, list) else value


def machine_reply(text: str, **facts: Any) -> Node:
    return {"text": text, "role": "assistant", "synthetic": True, **facts}


def prompt(text: str) -> Node:
    return {"text": text, "role": "prompter"}
