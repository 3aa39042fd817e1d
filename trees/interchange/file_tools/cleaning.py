"""Clean a file by a sheet of instructions: delete, replace or edit messages by their ids. No database.

The sheet is CSV with a header, or JSON Lines, with the members `message_id`, `action`, `find` and `text`:

- `delete`: the message and everything below it; a prompt takes its tree along
- `replace`: the whole text by `text`
- `edit`: each occurrence of `find` by `text`

A message may have several instructions; they apply in the order of the sheet.
"""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from oasst.core.errors import Invalid
from trees.interchange.file_tools.nodes import rebuilt
from trees.interchange.format import SURROGATES, Node
from trees.interchange.reading.records import origin_of

ACTIONS = ("delete", "replace", "edit")
_MEMBERS = ("message_id", "action", "find", "text")
_LONGEST_TEXT = 10_000_000


@dataclass(frozen=True)
class Instruction:
    line: int
    action: str
    find: str = ""
    text: str = ""


@dataclass
class Cleaning:
    """The instructions of a sheet, and what became of them."""

    by_message: dict[str, list[Instruction]]
    deleted: int = 0  # messages, without those below them
    changed: int = 0  # messages
    seen: set[str] = field(default_factory=set)
    not_found: list[Instruction] = field(default_factory=list)
    """Edits whose `find` was not in the text."""

    def apply(self, tree: Node) -> Node | None:
        """Return the tree after its instructions, or None if its prompt is deleted."""
        return rebuilt(tree, self._cleaned)

    def unknown_ids(self) -> list[str]:
        """Return the ids of the sheet that no message had, once all trees were cleaned. Messages below a deleted one
        count as unknown.
        """
        return [message_id for message_id in self.by_message if message_id not in self.seen]

    def _cleaned(self, node: Node) -> Node | None:
        instructions = self.by_message.get(node["message_id"])
        if instructions is None:
            return dict(node)
        self.seen.add(node["message_id"])
        text = node["text"]
        for instruction in instructions:
            if instruction.action == "delete":
                self.deleted += 1
                return None
            if instruction.action == "replace":
                text = instruction.text
            elif instruction.find in text:
                text = text.replace(instruction.find, instruction.text)
            else:
                self.not_found.append(instruction)
        self.changed += text != node["text"]
        return node | {"text": text}


def read_sheet(path: Path) -> Cleaning:
    """Return the instructions of a sheet. Raise Invalid with file and line."""
    by_message: defaultdict[str, list[Instruction]] = defaultdict(list)
    name = origin_of(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            is_json = file.read(4096).lstrip().startswith("{")
            file.seek(0)
            rows = _json_rows(file) if is_json else _csv_rows(file)
            for line, row in rows:
                message_id, instruction = _instruction(row, f"{name}, line {line}", line)
                by_message[message_id].append(instruction)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Invalid(f"{name}: cannot be read: {error}", code="unreadable") from error
    if not by_message:
        raise Invalid(f"{name}: has no instructions", code="unreadable")
    return Cleaning(dict(by_message))


def _json_rows(file: TextIO) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError:
                yield number, None


def _csv_rows(file: TextIO) -> Iterator[tuple[int, Any]]:
    csv.field_size_limit(_LONGEST_TEXT)
    reader = csv.DictReader(file, strict=True)
    for row in reader:
        yield reader.line_num, row


def _instruction(row: Any, where: str, line: int) -> tuple[str, Instruction]:
    if not isinstance(row, dict) or None in row:
        raise Invalid(f"{where}: must have the members {', '.join(_MEMBERS)}", code="bad_sheet")
    message_id, action, find, text = (row.get(member) or "" for member in _MEMBERS)
    if not all(isinstance(value, str) for value in (message_id, action, find, text)):
        raise Invalid(f"{where}: all members must be strings", code="bad_sheet")
    message_id, action = message_id.strip(), action.strip().lower()
    if not message_id:
        raise Invalid(f"{where}: message_id is missing", code="bad_sheet")
    if action not in ACTIONS:
        raise Invalid(f"{where}: action must be {', '.join(ACTIONS)}, not {action[:60]!r}", code="bad_sheet")
    if action == "replace" and row.get("text") is None:
        raise Invalid(f"{where}: replace needs a text", code="bad_sheet")
    if action == "edit" and not find:
        raise Invalid(f"{where}: edit needs what to find", code="bad_sheet")
    if "\0" in text or SURROGATES.search(text):
        raise Invalid(f"{where}: the text cannot be stored", code="bad_text")
    return message_id, Instruction(line, action, find, text)
