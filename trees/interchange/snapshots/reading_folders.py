"""The trees of a written snapshot, for programs that check or compare it. No database."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oasst.core.errors import Invalid
from trees.interchange.snapshots.canonical import parse_record, record_line
from trees.interchange.snapshots.files import open_lines
from trees.interchange.snapshots.manifest import MANIFEST, REMOVED, WITHDRAWN, Manifest, trees_file


def is_snapshot_folder(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> Manifest:
    """Raise Invalid if there is none, or none that this release understands."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise Invalid(f"{path}: is no manifest of a snapshot: {error}", code="no_manifest") from error
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or not all(map(_is_fact, files.values())):
        raise Invalid(f"{path}: is no manifest of a snapshot.", code="no_manifest")
    return manifest


def _is_fact(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("sha256"), str)


def folder_lines(folder: Path, split: str) -> Iterator[tuple[str, bytes]]:
    """Yield the id and the canonical JSON of the trees of a split in the order of their ids.

    Raise Invalid, also for a tree that is not canonical, in another split or out of order.
    """
    path, last = folder / trees_file(split), ""
    try:
        with open_lines(path) as file:
            for number, line in enumerate(file, start=1):
                tree_id = _check(line, split, last, f"{path}, line {number}")
                yield tree_id, line.removesuffix(b"\n")
                last = tree_id
    except OSError as error:
        raise Invalid(f"{path}: cannot be read: {error.strerror or error}", code="unreadable") from error


def _check(line: bytes, split: str, last: str, where: str) -> str:
    """Return the id of the tree in this line. Raise Invalid unless a snapshot would write it here."""
    try:
        record = parse_record(line)
        is_canonical = record_line(record) + b"\n" == line
        tree_id, its_split = record.id, record.split
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Invalid(f"{where}: no frozen tree: {error}", code="damaged") from error
    if not is_canonical or its_split != split or tree_id <= last:
        raise Invalid(f"{where}: the tree is not as a snapshot writes it, or not in its place.", code="damaged")
    return tree_id


def withdrawn_ids(folder: Path) -> set[str]:
    """Return the messages that the snapshot lists, unless a moderator removed them. Raise Invalid."""
    try:
        lines = (folder / WITHDRAWN).read_bytes().splitlines()
        entries = [json.loads(line) for line in lines]
        return {entry["message_id"] for entry in entries if entry["reason"] != REMOVED}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Invalid(f"{folder / WITHDRAWN}: cannot be read: {error}", code="unreadable") from error
