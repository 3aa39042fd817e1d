"""What differs between two snapshots: message by message, in constant memory."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from oasst.core.errors import Invalid
from trees.interchange.format import Node
from trees.interchange.snapshots.canonical import parse_record
from trees.interchange.snapshots.files import Source
from trees.interchange.snapshots.freezing import withdrawn_of
from trees.interchange.snapshots.frozen import frozen_lines, get_frozen
from trees.interchange.snapshots.manifest import REMOVED, file_facts, trees_file
from trees.interchange.snapshots.reading_folders import (
    folder_lines,
    is_snapshot_folder,
    read_manifest,
    withdrawn_ids,
)
from trees.interchange.tree_record import SPLITS, TreeRecord

CHANGES = {"text": "text", "review_result": "decision", "rank": "rank"}
"""The columns whose changes are told, with the word for each."""


@dataclass(frozen=True)
class Side:
    """One of the two snapshots."""

    name: str
    trees: Source
    withdrawn: frozenset[str]  # ids of messages


@dataclass
class Difference:
    """Numbers by kind and change, such as messages added, and the ids where they are wanted."""

    keeps_ids: bool
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    ids: dict[str, dict[str, list[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def add(self, kind: str, change: str, of_id: str) -> None:
        self.counts[kind][change] += 1
        if self.keeps_ids:
            self.ids[kind][change].append(of_id)

    def count(self, kind: str, change: str, number: int) -> None:
        if number:
            self.counts[kind][change] += number

    def as_json(self) -> dict[str, Any]:
        result: dict[str, Any] = {kind: dict(sorted(self.counts[kind].items())) for kind in KINDS}
        if self.keeps_ids:
            result["ids"] = {kind: dict(sorted(changes.items())) for kind, changes in sorted(self.ids.items())}
        return result


KINDS = ("trees", "messages", "reviews", "rankings")


def open_side(name: str) -> Side:
    """Return a snapshot by the path of its folder or by its name here. Raise Invalid, NotFound, Gone."""
    folder = Path(name)
    if is_snapshot_folder(folder):
        _refuse_changed(folder)
        return Side(
            str(read_manifest(folder).get("name")), partial(folder_lines, folder), frozenset(withdrawn_ids(folder))
        )
    snapshot = get_frozen(name)
    lines = withdrawn_of(snapshot).splitlines()
    entries = map(orjson.loads, lines)
    withdrawn = frozenset(entry["message_id"] for entry in entries if entry["reason"] != REMOVED)
    return Side(snapshot.name, partial(frozen_lines, snapshot), withdrawn)


def compare(first: Side, second: Side, *, keeps_ids: bool = False) -> Difference:
    """Return what changed from the first snapshot to the second. With `keeps_ids` memory grows with the changes."""
    difference = Difference(keeps_ids)
    for tree_id, before, after in chain.from_iterable(
        _pairs(iter(first.trees(split)), iter(second.trees(split))) for split in SPLITS
    ):
        if before == after:
            difference.count("trees", "unchanged", 1)
            continue
        change = "added" if before is None else "removed" if after is None else "changed"
        difference.add("trees", change, tree_id)
        _compare_trees(_record(before), _record(after), second.withdrawn, difference)
    return difference


def _refuse_changed(folder: Path) -> None:
    """Raise Invalid unless the trees are those of the manifest: a file that was cut off would look like deletions."""
    listed = read_manifest(folder)["files"]
    for path in map(trees_file, SPLITS):
        try:
            is_same = file_facts(folder / path) == listed.get(path)
        except OSError as error:
            raise Invalid(f"{folder / path}: cannot be read: {error.strerror}", code="unreadable") from error
        if not is_same:
            raise Invalid(f"{folder / path} was changed. snapshot_verify says more.", code="damaged")


Line = tuple[str, bytes]


def _pairs(first: Iterator[Line], second: Iterator[Line]) -> Iterator[tuple[str, bytes | None, bytes | None]]:
    """Yield the lines of both sides that have one id, or one of them and None."""
    left, right = next(first, None), next(second, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            assert left is not None
            yield left[0], left[1], None
            left = next(first, None)
        elif left is None or right[0] < left[0]:
            yield right[0], None, right[1]
            right = next(second, None)
        else:
            yield left[0], left[1], right[1]
            left, right = next(first, None), next(second, None)


def _record(line: bytes | None) -> TreeRecord | None:
    return None if line is None else parse_record(line)


def _compare_trees(
    before: TreeRecord | None, after: TreeRecord | None, withdrawn: frozenset[str], difference: Difference
) -> None:
    old, new = _messages(before), _messages(after)
    for message_id in sorted({*old, *new}):
        if message_id not in old:
            difference.add("messages", "added", message_id)
        elif message_id not in new:
            difference.add("messages", "withdrawn" if message_id in withdrawn else "removed", message_id)
        else:
            for column, change in CHANGES.items():
                if old[message_id][column] != new[message_id][column]:
                    difference.add("messages", change, message_id)
    for kind in ("reviews", "rankings"):
        rows = [_rows(record, kind) for record in (before, after)]
        difference.count(kind, "added", (rows[1] - rows[0]).total())
        difference.count(kind, "removed", (rows[0] - rows[1]).total())


def _messages(record: TreeRecord | None) -> dict[str, Node]:
    found: dict[str, Node] = {}
    waiting: list[Node] = [record.tree["prompt"]] if record else []
    while waiting:
        node = waiting.pop()
        found[node["message_id"]] = node
        waiting.extend(node["replies"])
    return found


def _rows(record: TreeRecord | None, kind: str) -> Counter[bytes]:
    return Counter(orjson.dumps(row) for row in getattr(record, kind)) if record else Counter()
