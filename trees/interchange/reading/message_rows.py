"""Trees from rows, one message each: OASST1 and OASST2, our exports and snapshots. Rows may come in any order.

They are collected in a temporary SQLite file, which serves as an external sort: memory does not grow with the rows.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

from oasst.core.errors import Invalid
from trees.interchange.format import Node
from trees.interchange.named_counts import PARTS, are_lists, by_name
from trees.interchange.reading.json_values import LONGEST
from trees.interchange.reading.records import Place, Record
from trees.interchange.reading.temporary_database import temporary_database

Refuse = Callable[[Invalid], None]

_OF_THE_TREE = ("message_tree_id", "tree_state", "parent_id", "message_id")
_BATCH = 1000
# The same row twice in one file is a broken file; the same one in two files is a file given twice.
_TABLES = """
CREATE TABLE rows (
    number INTEGER PRIMARY KEY, file INTEGER, line INTEGER, id TEXT, parent TEXT, tree TEXT, state TEXT, node BLOB
);
"""
_INDEXES = """
CREATE INDEX by_id ON rows (id);
CREATE INDEX by_parent ON rows (parent);
"""
_REPEATED = """
SELECT later.file, later.line, later.id, first.file, first.line FROM rows later JOIN rows first ON first.id = later.id
AND first.number = (SELECT min(number) FROM rows WHERE id = later.id) AND later.number > first.number
WHERE later.id IN (SELECT id FROM rows GROUP BY id HAVING count(*) > 1)
AND (later.file = first.file OR later.node <> first.node OR later.parent IS NOT first.parent
OR later.tree IS NOT first.tree) ORDER BY later.number
"""
_DROP_REPEATED = """
DELETE FROM rows WHERE id IN (SELECT id FROM rows GROUP BY id HAVING count(*) > 1)
AND number > (SELECT min(number) FROM rows other WHERE other.id = rows.id)
"""
_ORPHANS = """
SELECT file, line, id, parent FROM rows WHERE parent IS NOT NULL AND parent NOT IN (SELECT id FROM rows) ORDER BY number
"""
_PLACE = """
CREATE TABLE placed AS
WITH RECURSIVE below (number, id, root) AS (
    SELECT number, id, number FROM rows WHERE parent IS NULL
    UNION ALL
    SELECT rows.number, rows.id, below.root FROM below JOIN rows ON rows.parent = below.id
)
SELECT root, number FROM below ORDER BY root, number
"""
_UNPLACED = """
SELECT file, line, id FROM rows WHERE (SELECT count(*) FROM rows) > (SELECT count(*) FROM placed)
AND number NOT IN (SELECT number FROM placed) ORDER BY number
"""
_TREES = """
SELECT placed.root, file, line, id, parent, tree, state, node FROM placed JOIN rows USING (number) ORDER BY placed.rowid
"""


class MessageRows:
    """The rows of some files, until all have been seen."""

    def __init__(self, refuse: Refuse) -> None:
        self._refuse = refuse
        self._files: list[tuple[str, str]] = []  # name and unit of the places
        self._is_new_file = True
        self._waiting: list[tuple[Any, ...]] = []
        self.count = 0

    def __enter__(self) -> "MessageRows":
        self._database = temporary_database(_TABLES)
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def begin_file(self) -> None:
        self._is_new_file = True

    def add(self, record: Record, row: Node) -> None:
        """Keep a row. Raise Invalid if it names no message."""
        keys = [row.get(key) for key in ("message_id", "parent_id", "message_tree_id", "tree_state")]
        if keys[0] is None or any(key is not None and not isinstance(key, str) for key in keys):
            raise Invalid("message_id, parent_id, message_tree_id and tree_state must be strings", code="bad_id")
        node = {key: value for key, value in row.items() if value is not None and key not in _OF_THE_TREE}
        for name in PARTS:
            if are_lists(node.get(name), name):
                node[name] = by_name(name, node[name])
        try:
            data = json.dumps(node)
            for key in keys:
                (key or "").encode()
        except UnicodeEncodeError as error:
            raise Invalid("an id contains half a character", code="bad_id") from error
        except RecursionError as error:
            raise Invalid("nested too deeply", code="no_json") from error
        if self._is_new_file:
            self._files.append((record.place.file, record.place.unit))
            self._is_new_file = False
        self._waiting.append((len(self._files) - 1, record.place.number, *keys, data))
        self.count += 1
        if len(self._waiting) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        sql = "INSERT INTO rows (file, line, id, parent, tree, state, node) VALUES (?, ?, ?, ?, ?, ?, ?)"
        self._database.executemany(sql, self._waiting)
        self._waiting.clear()

    def trees(self) -> Iterator[tuple[Place, int, Node]]:
        """Yield (place of the prompt, size, tree) in the order of the prompts, once all rows have been added.

        Repeated messages, orphans and cycles are refused.
        """
        self._flush()
        self._database.executescript(_INDEXES)
        self._refuse_repeated()
        for file, line, message_id, parent in self._database.execute(_ORPHANS):
            reason = f"message {short(message_id)}: its parent {short(parent)} is in none of the rows"
            self._refuse(self._place(file, line).refused(Invalid(reason, code="orphan")))
        self._database.executescript(_PLACE)
        for file, line, message_id in self._database.execute(_UNPLACED):
            if self._is_in_cycle(message_id):
                reason = f"message {short(message_id)} is below itself: its parents form a circle"
                self._refuse(self._place(file, line).refused(Invalid(reason, code="cycle")))
        for _, group in groupby(self._database.execute(_TREES), key=lambda row: row[0]):
            try:
                if (found := self._tree(group)) is not None:
                    yield found
            except Invalid as error:
                self._refuse(error)

    def _refuse_repeated(self) -> None:
        for file, line, message_id, first_file, first_line in self._database.execute(_REPEATED):
            first = self._place(first_file, first_line)
            reason = f"message {short(message_id)} was in {first} already"
            self._refuse(self._place(file, line).refused(Invalid(reason, code="repeated_message")))
        self._database.execute(_DROP_REPEATED)

    def _is_in_cycle(self, message_id: str) -> bool:
        """Return True if the ancestors lead back to the message; else they lead to an orphan, which was refused."""
        sql, seen = "SELECT parent FROM rows WHERE id = ?", {message_id}
        parent: str | None = message_id
        while parent is not None:
            row = self._database.execute(sql, [parent]).fetchone()
            parent = row[0] if row else None
            if parent == message_id:
                return True
            if parent is None or parent in seen:
                return False
            seen.add(parent)
        return False

    def _tree(self, rows: Iterable[tuple[Any, ...]]) -> tuple[Place, int, Node]:
        """Return the tree of these rows, of which the prompt has the lowest root number. Raise Invalid with a place."""
        found, size = list(rows), 0
        nodes: dict[str, Node] = {}
        parents: dict[str, str] = {}
        (root_row,) = (row for row in found if row[4] is None)
        _, root_file, root_line, root_id, _, _, state, _ = root_row
        root_place = self._place(root_file, root_line)
        for _, file, line, message_id, parent, tree_id, _, data in found:
            size += len(data)
            if size > LONGEST:
                raise root_place.refused(Invalid(f"a tree of more than {LONGEST / 1e6:.0f} MB", code="line_too_long"))
            if tree_id is not None and tree_id != root_id:
                reason = f"message {short(message_id)}: message_tree_id is not the id of its prompt"
                raise self._place(file, line).refused(Invalid(reason, code="wrong_root"))
            above = {"message_id": message_id} | ({"parent_id": parent} if parent else {})
            nodes[message_id] = above | json.loads(data) | {"replies": []}
            if parent:
                parents[message_id] = parent
        for message_id, parent in parents.items():
            nodes[parent]["replies"].append(nodes[message_id])
        tree: Node = {"message_tree_id": root_id, "tree_state": state, "prompt": nodes[root_id]}
        if state is None:
            del tree["tree_state"]
        return root_place, size, tree

    def _place(self, file: int, line: int) -> Place:
        name, unit = self._files[file]
        return Place(name, line, unit)


def short(value: str) -> str:
    return value if len(value) <= 60 else f"{value[:60]}…"
