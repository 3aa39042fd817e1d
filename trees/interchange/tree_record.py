"""What a snapshot freezes of one tree: its messages and each judgment about them, with pseudonyms for all ids.

Pure: no database, no file. Everything that a snapshot contains is computed from these records alone, so it can be
computed again later.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from trees.interchange.flat import COLUMNS, Type
from trees.interchange.format import Node

MESSAGE_COLUMNS: dict[str, Type] = {**COLUMNS, "basis": "string"}
"""The columns of a message. `basis` says why it may be published: "terms 2", "license CC-BY-4.0" of an
import, or "client …" of people for whom an API client vouches."""

REVIEW_COLUMNS: dict[str, Type] = {
    "message_tree_id": "string",
    "message_id": "string",
    "user_id": "string",
    "kind": "string",  # review, free, report: Review.Kind
    "created_date": "string",
    "labels": {"name": ["string"], "value": ["float64"]},  # answered ones only
}
RANKING_COLUMNS: dict[str, Type] = {
    "message_tree_id": "string",
    "parent_id": "string",
    "user_id": "string",
    "created_date": "string",
    "ranked_message_ids": ["string"],  # best first
    "not_rankable": "bool",
}


@dataclass(frozen=True)
class TreeRecord:
    """One frozen tree. All objects have constant keys, so unknown values are null."""

    tree: Node
    """`message_tree_id`, `tree_state` and `prompt`; each message has MESSAGE_COLUMNS but those two, and `replies`."""
    reviews: tuple[dict[str, Any], ...]  # REVIEW_COLUMNS, in order of time
    rankings: tuple[dict[str, Any], ...]  # RANKING_COLUMNS, in order of time

    @property
    def id(self) -> str:
        tree_id: str = self.tree["message_tree_id"]
        return tree_id

    @property
    def split(self) -> str:
        return split_of(self.id)


SPLITS = ("train", "validation", "test")


def split_of(tree_id: str) -> str:
    """Return the part of the data set that a tree is in: 90, 5 and 5 percent, by a hash of its published id.

    A tree never changes sides in a later snapshot, and readers of the files can compute it too.
    """
    percent = int.from_bytes(sha256(tree_id.encode()).digest()[:8]) % 100
    return "train" if percent < 90 else "validation" if percent < 95 else "test"
