"""The checked trees of files in any known format, each once.

Everything that can be wrong with a file is found here, so that nothing is written because of a bad one.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

from oasst.core.errors import Invalid
from trees.interchange.format import Node, ParsedTree, parse_tree
from trees.interchange.progress import Advance
from trees.interchange.reading.formats import BY_NAME, Format, recognize
from trees.interchange.reading.message_rows import MessageRows, Refuse
from trees.interchange.reading.records import Place, read_records
from trees.interchange.reading.temporary_database import room_on_disk, temporary_database

_SEEN = """
CREATE TABLE trees (number INTEGER PRIMARY KEY, digest BLOB, place TEXT);
CREATE TABLE messages (id BLOB PRIMARY KEY, tree INTEGER) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class FoundTree:
    place: Place
    size: int  # bytes in the file, roughly
    node: Node
    """The tree as a JSON object of the format "trees"."""
    parsed: ParsedTree


def refuse(error: Invalid) -> NoReturn:
    raise error


@dataclass
class TreeReader:
    """Reads files one after the other. Rows of messages are put together over all of them."""

    format_name: str | None = None  # None to recognize it
    refuse: Refuse = refuse
    """Called with each refusal; reading goes on if it returns."""
    advance: Advance | None = None
    repeated: int = 0
    """How many trees were the same as an earlier one, and left out."""
    formats: set[str] = field(default_factory=set)

    def read(self, paths: Iterable[Path]) -> Iterator[FoundTree]:
        """Yield the trees. Raise Invalid with file and line."""
        with ExitStack() as stack:
            stack.enter_context(room_on_disk())
            rows = stack.enter_context(MessageRows(self._refuse))
            seen = stack.enter_context(SeenTrees())
            for path in paths:
                yield from self._unseen(seen, self._read_file(path, rows))
            if rows.count:
                yield from self._unseen(seen, rows.trees())

    def _refuse(self, error: Invalid) -> None:
        self.refuse(error)

    def _read_file(self, path: Path, rows: MessageRows) -> Iterator[tuple[Place, int, Node]]:
        found = BY_NAME[self.format_name] if self.format_name is not None else None
        records = read_records(path, self.advance)
        rows.begin_file()
        while True:
            try:
                record = next(records, None)
            except Invalid as error:  # the rest of the file is unreadable
                self._refuse(error)
                return
            if record is None:
                return
            try:
                value = record.value()
                found = found or recognize(value)
                self.formats.add(found.name)
                tree = _tree_of(found, value)
                if tree is None:
                    rows.add(record, value)
                    continue
            except Invalid as error:
                self._refuse(record.place.refused(error))
                continue
            yield record.place, record.size, tree

    def _unseen(self, seen: "SeenTrees", found: Iterable[tuple[Place, int, Node]]) -> Iterator[FoundTree]:
        for place, size, node in found:
            try:
                parsed = parse_tree(node)
                is_new = seen.add(place, node, parsed)
            except Invalid as error:
                self._refuse(place.refused(error))
                continue
            if is_new:
                yield FoundTree(place, size, node, parsed)
            else:
                self.repeated += 1


class SeenTrees:
    """The ids and digests of all trees so far, on disk."""

    def __enter__(self) -> "SeenTrees":
        self._database = temporary_database(_SEEN)
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add(self, place: Place, node: Node, parsed: ParsedTree) -> bool:
        """Return False if the same tree was there before. Raise Invalid if another one has its messages."""
        execute = self._database.execute
        row = execute(
            "SELECT digest, place, tree FROM messages JOIN trees ON number = tree WHERE id = ?", [parsed.id.bytes]
        ).fetchone()
        digest = sha256(json.dumps(node, sort_keys=True).encode()).digest()
        if row is not None and row[0] == digest:
            return False
        if row is not None:
            raise Invalid(f"message {parsed.id} was in {row[1]} already", code="message_id_taken")
        number = execute("INSERT INTO trees (digest, place) VALUES (?, ?)", [digest, str(place)]).lastrowid
        ids = [message.id.bytes for message in parsed.messages]
        sql = "INSERT OR IGNORE INTO messages (id, tree) VALUES (?, ?)"
        if self._database.executemany(sql, [(one, number) for one in ids]).rowcount < len(ids):
            try:
                self._raise_taken(parsed, number)
            finally:  # a refused tree takes no ids from later ones
                own = [(one, number) for one in ids]
                self._database.executemany("DELETE FROM messages WHERE id = ? AND tree = ?", own)
                execute("DELETE FROM trees WHERE number = ?", [number])
        return True

    def _raise_taken(self, parsed: ParsedTree, number: int | None) -> NoReturn:
        sql = "SELECT place FROM messages JOIN trees ON trees.number = tree WHERE id = ? AND tree <> ?"
        taken = ((m.id, self._database.execute(sql, [m.id.bytes, number]).fetchone()) for m in parsed.messages)
        message_id, row = next((message_id, row) for message_id, row in taken if row is not None)
        raise Invalid(f"message {message_id} was in {row[0]} already", code="message_id_taken")


def _tree_of(found: Format, value: Any) -> Node | None:
    """Return the tree of an object, or None for a message. Raise Invalid."""
    if not isinstance(value, dict):
        raise Invalid("a line must be a JSON object", code="not_a_tree")
    try:
        return None if found.tree_of is None else found.tree_of(value)
    except (KeyError, TypeError, AttributeError) as error:  # unlike the first objects
        raise Invalid(f"this is not of the format {found.name}", code="not_a_tree") from error
    except RecursionError as error:
        raise Invalid("nested too deeply", code="no_json") from error
