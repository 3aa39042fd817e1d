"""Check that a written snapshot is complete, unchanged, and follows from its frozen trees. No database."""

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from oasst.core.errors import Invalid
from trees.interchange.forms import FORMS
from trees.interchange.progress import CountDone
from trees.interchange.snapshots.files import CHUNK, Written, open_lines, write_files
from trees.interchange.snapshots.manifest import (
    MANIFEST,
    PARTS,
    SUMS,
    Manifest,
    facts_of_files,
    file_facts,
    library_versions,
    manifest_bytes,
    sums_bytes,
    trees_file,
)
from trees.interchange.snapshots.reading_folders import folder_lines, read_manifest
from trees.interchange.tree_record import SPLITS


def find_problems(folder: Path, progress: CountDone = lambda done: None) -> Iterator[str]:
    """Yield a sentence for each difference from what the manifest says. Raise Invalid if there is no manifest.

    The bytes of Parquet and zstd depend on their libraries. With other versions the rows are compared instead, and
    Parquet files only with their digests.
    """
    manifest = read_manifest(folder)
    yield from _changed_manifest(folder, manifest)
    try:
        found = facts_of_files(folder)
    except OSError as error:
        raise Invalid(f"{folder}: cannot be read: {error}", code="unreadable") from error
    differences = list(_changed_files(found, manifest["files"]))
    yield from (sentence for _, sentence in differences)
    sources = {trees_file(split) for split in SPLITS}
    if sources & {path for path, _ in differences}:
        yield "The rows were not computed again, because the trees are not those of the manifest."
        return
    yield from _changed_rows(folder, manifest, progress)


def _changed_manifest(folder: Path, manifest: Manifest) -> Iterator[str]:
    try:
        if (folder / MANIFEST).read_bytes() != manifest_bytes(manifest):
            yield f"{MANIFEST} is not as a snapshot writes it."
        if (folder / SUMS).read_bytes() != sums_bytes(manifest):
            yield f"{SUMS} and {MANIFEST} do not belong together: one of them was changed."
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:  # ValueError for NaN
        raise Invalid(f"{folder / MANIFEST}: is no manifest of a snapshot: {error}", code="no_manifest") from error
    except FileNotFoundError:
        yield f"{SUMS} is missing."
    except OSError as error:
        raise Invalid(f"{folder / SUMS}: cannot be read: {error.strerror or error}", code="unreadable") from error


def _changed_files(found: dict[str, Any], listed: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield path and sentence for each file that is not as the manifest lists it."""
    for path in sorted({*found, *listed} - {MANIFEST, SUMS}):
        if path not in found:
            yield path, f"{path} is missing."
        elif path not in listed:
            yield path, f"{path} is not in the manifest."
        elif found[path] != listed[path]:
            yield path, f"{path} was changed: its size or SHA-256 is not that of the manifest."


def _changed_rows(folder: Path, manifest: Manifest, progress: CountDone) -> Iterator[str]:
    """Write the snapshot again from its trees, and yield what differs."""
    with TemporaryDirectory(prefix="snapshot-verify-") as scratch:
        try:
            written = write_files(partial(folder_lines, folder), Path(scratch), progress=progress)
        except Invalid as error:
            yield error.message
            return
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            yield f"A tree has not the columns of a frozen tree: {type(error).__name__}, {error}."
            return
        except OSError as error:
            raise Invalid(f"{scratch}: cannot be written: {error.strerror or error}", code="output") from error
        yield from _changed_facts(written, manifest)
        is_same_library = manifest.get("libraries") == library_versions()
        for path in (path for part in PARTS for path in (part.lines, part.table)):
            if path not in manifest["files"] or not (folder / path).is_file():
                continue  # named already, or an older snapshot that lacks this form
            if not _is_same(Path(scratch) / path, folder / path, is_same_library=is_same_library):
                yield f"{path} does not follow from the trees."


def _changed_facts(written: Written, manifest: Manifest) -> Iterator[str]:
    if written.source.hexdigest() != manifest.get("source_sha256"):
        yield "The trees are not those that were frozen: source_sha256 is another one."
    counts = _dictionary(manifest.get("counts"))
    if counts.get("trees_by_split") != written.trees_by_split():
        yield "The manifest has other numbers of trees than there are."
    listed, rows = _dictionary(counts.get("rows")), written.rows_by_form()
    for form in FORMS:
        if form.name in listed and listed[form.name] != rows[form.name]:
            yield f"The manifest has other numbers of rows of {form.name} than there are."


def _dictionary(value: Any) -> dict[str, Any]:
    """Return the value, or nothing if somebody put something else in its place."""
    return value if isinstance(value, dict) else {}


def _is_same(expected: Path, found: Path, *, is_same_library: bool) -> bool:
    if file_facts(expected) == file_facts(found):
        return True
    if is_same_library:
        return False
    return found.suffix == ".parquet" or _digest_of_content(expected) == _digest_of_content(found)


def _digest_of_content(path: Path) -> str:
    digest = hashlib.sha256()
    with open_lines(path) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
