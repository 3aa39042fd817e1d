"""Records and rows as bytes, each in one form only. Pure.

A frozen tree is JSON in UTF-8 with sorted keys and no spaces. Rows keep the order of their columns.
"""

import json
from hashlib import sha256
from typing import Any

import orjson

from oasst.core.json_lines import escape_line_breaks
from trees.interchange.tree_record import SPLITS, TreeRecord, split_of


def record_line(record: TreeRecord) -> bytes:
    """Return the canonical JSON of a tree, without a line end. Raise ValueError for NaN and Infinity."""
    value = {"tree": record.tree, "reviews": record.reviews, "rankings": record.rankings}
    # orjson cannot write trees as deep as an import may bring.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return escape_line_breaks(text).encode()


def parse_record(line: bytes) -> TreeRecord:
    """Return the tree of a line of `record_line`. Raise ValueError, KeyError or TypeError for anything else."""
    value = orjson.loads(line)
    return TreeRecord(tree=value["tree"], reviews=tuple(value["reviews"]), rankings=tuple(value["rankings"]))


def row_line(row: dict[str, Any]) -> bytes:
    """Return a row as one line of JSON, with the line end."""
    line = orjson.dumps(row)
    if not line.isascii():
        line = escape_line_breaks(line.decode()).encode()
    return line + b"\n"


class SourceDigest:
    """The SHA-256 over all frozen trees, added in the order of their ids, in each split at least.

    Each split has the SHA-256 of one line a tree: the SHA-256 of its canonical JSON in hexadecimal, two spaces, its id.
    The whole is the SHA-256 of one line a split: that in hexadecimal, two spaces, the name of the split.
    """

    def __init__(self) -> None:
        self._splits = {split: sha256() for split in SPLITS}

    def add(self, tree_id: str, digest: bytes) -> None:
        self._splits[split_of(tree_id)].update(f"{digest.hex()}  {tree_id}\n".encode())

    def hexdigest(self) -> str:
        lines = (f"{digest.hexdigest()}  {split}\n" for split, digest in self._splits.items())
        return sha256("".join(lines).encode()).hexdigest()
