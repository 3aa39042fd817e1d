"""Write a frozen snapshot as a folder that appears only when it is complete, and never changes."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import orjson
from django.db import transaction

from oasst.core.errors import Conflict, Invalid
from trees.interchange.data_card import card_files
from trees.interchange.figures import Figures
from trees.interchange.progress import CountDone
from trees.interchange.snapshots.files import Written, write_files
from trees.interchange.snapshots.freezing import withdrawn_of
from trees.interchange.snapshots.frozen import compress, decompress, frozen_lines, refuse_retracted
from trees.interchange.snapshots.manifest import (
    MANIFEST,
    SUMS,
    WITHDRAWN,
    Manifest,
    facts_of_files,
    file_facts,
    library_versions,
    manifest_bytes,
    sums_bytes,
)
from trees.models import Snapshot


@dataclass(frozen=True)
class Result:
    manifest: Manifest
    existed: bool  # the folder was there already, with the same bytes


def write_folder(
    snapshot: Snapshot, target: Path, *, replace: bool = False, progress: CountDone = lambda done: None
) -> Result:
    """Write the snapshot as the folder `target`. If that is there with the same bytes, nothing changes.

    `replace` allows to replace another snapshot. Raise Invalid if it cannot be written, Conflict: `folder_differs` for
    a folder with another content, `snapshot_files` if the files are not those of the first time, `snapshot_changed` if
    the rows in the database are not what was frozen.
    """
    refuse_retracted(snapshot)
    target = Path(os.path.realpath(target))
    try:
        if snapshot.manifest and _is_complete(target, snapshot.manifest):
            return Result(snapshot.manifest, existed=True)
        _refuse_target(target, replace=replace, is_known=bool(snapshot.manifest))
        with _partial_folder(target) as unfinished:
            content = _write(snapshot, unfinished, progress)
            manifest = content.manifest
            _compare_with_first(snapshot, manifest)
            existed = not _put_in_place(unfinished, target, manifest, replace=replace)
        _keep(snapshot, content)
        return Result(manifest, existed)
    except OSError as error:
        raise Invalid(f"{target}: cannot be written: {error.strerror or error}", code="output") from error


def _refuse_target(target: Path, *, replace: bool, is_known: bool) -> None:
    """Raise Conflict before the work if something is there that may not be replaced. What is no snapshot never is."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not (target / MANIFEST).is_file():
        raise Conflict(f"{target} is there already and is no snapshot. Choose another folder.", code="folder_differs")
    if is_known and not replace:
        raise _other_content(target)


def _other_content(target: Path) -> Conflict:
    return Conflict(
        f"{target} has another content. Choose another folder, or replace it with --replace.", code="folder_differs"
    )


@dataclass(frozen=True)
class _Content:
    """What was written."""

    manifest: Manifest
    card: dict[str, str]  # the files about the data, by path


def _write(snapshot: Snapshot, folder: Path, progress: CountDone) -> _Content:
    figures = Figures()
    card = _frozen_card(snapshot)
    each = (lambda record: None) if card else figures.add
    written = write_files(partial(frozen_lines, snapshot), folder, progress=progress, each=each)
    if written.source.hexdigest() != snapshot.source_sha256:
        raise Conflict(f"Frozen trees of {snapshot.name} are missing in the database.", code="snapshot_changed")
    (folder / WITHDRAWN).write_bytes(withdrawn_of(snapshot))
    manifest = _manifest(snapshot, written)
    manifest["files"] = facts_of_files(folder)
    if not card:
        card = {path: content.decode() for path, content in card_files(manifest, figures.result()).items()}
    for path, text in card.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text.encode())
        manifest["files"][path] = file_facts(folder / path)
    (folder / MANIFEST).write_bytes(manifest_bytes(manifest))
    (folder / SUMS).write_bytes(sums_bytes(manifest))
    return _Content(manifest, card)


def _frozen_card(snapshot: Snapshot) -> dict[str, str]:
    """Return the card that the snapshot was published with; empty before."""
    found: dict[str, str] = orjson.loads(decompress(snapshot.card)) if snapshot.card else {}
    return found


def _manifest(snapshot: Snapshot, written: Written) -> Manifest:
    return {
        "name": snapshot.name,
        "format_version": snapshot.format_version,
        "cutoff": snapshot.cutoff.isoformat(timespec="milliseconds"),
        "filters": snapshot.filters,
        "site_url": snapshot.site_url,
        "libraries": library_versions(),
        "source_sha256": snapshot.source_sha256,
        "counts": {
            **snapshot.counts["has"],
            "trees_by_split": written.trees_by_split(),
            "rows": written.rows_by_form(),
            "withdrawn": withdrawn_of(snapshot).count(b"\n"),
        },
        "bases": snapshot.counts["bases"],
        "left_out": snapshot.counts["left_out"],
        "unreadable_values": snapshot.counts["unreadable_values"],
    }


def _compare_with_first(snapshot: Snapshot, manifest: Manifest) -> None:
    """Raise Conflict unless the files are those that this snapshot was published with."""
    if not snapshot.manifest or snapshot.manifest == manifest:
        return
    first, now = snapshot.libraries, manifest["libraries"]
    changed = ", ".join(f"{name} {first.get(name)} (here {now[name]})" for name in now if now[name] != first.get(name))
    cause = f"It was written with {changed}." if changed else "This release of the site writes other files."
    raise Conflict(
        f"{snapshot.name} cannot be written with the bytes that it was published with. {cause} Use what wrote it, or "
        "freeze a new snapshot under another name.",
        code="snapshot_files",
    )


def _keep(snapshot: Snapshot, content: _Content) -> None:
    """Store what the snapshot is published with from now on."""
    with transaction.atomic():
        row = Snapshot.objects.select_for_update(of=("self",), no_key=True).get(pk=snapshot.pk)
        refuse_retracted(row)
        _compare_with_first(row, content.manifest)
        if not row.manifest:
            row.manifest, row.card = content.manifest, compress(orjson.dumps(content.card))
            row.save(update_fields=["manifest", "card"])
    snapshot.manifest, snapshot.card = row.manifest, row.card


# --- The folder ---


def _is_complete(folder: Path, manifest: Manifest) -> bool:
    """Return True if the folder has exactly these files."""
    if not (folder / MANIFEST).is_file() or (folder / MANIFEST).read_bytes() != manifest_bytes(manifest):
        return False
    found = facts_of_files(folder)
    sums = found.pop(SUMS, {})
    del found[MANIFEST]
    return found == manifest["files"] and bool(sums) and (folder / SUMS).read_bytes() == sums_bytes(manifest)


@contextmanager
def _partial_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder beside `target`, and remove it at the end if it is still there.

    It is locked while this process lives, so that the next one can remove what a killed one left.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.partial")
    unfinished.mkdir()
    descriptor = os.open(unfinished, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        os.close(descriptor)


def _remove_abandoned(target: Path) -> None:
    for folder in target.parent.iterdir():
        if not (folder.name.startswith(f".{target.name}.") and folder.name.endswith(".partial")):
            continue
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its writer lives
                shutil.rmtree(folder)
            finally:
                os.close(descriptor)


def _put_in_place(unfinished: Path, target: Path, manifest: Manifest, *, replace: bool) -> bool:
    """Give the finished folder its name, or return False if that is there already with the same bytes.

    Raise Conflict if something else is there.
    """
    if _is_complete(target, manifest):
        return False
    for path in [*unfinished.rglob("*"), unfinished]:
        _sync(path)
    if replace and target.exists():
        # Found by the next run if this one is killed before it is removed.
        former = unfinished.with_name(f".{target.name}.{os.getpid()}.former.partial")
        target.rename(former)
        try:
            unfinished.rename(target)
        except OSError:
            former.rename(target)
            raise
        shutil.rmtree(former, ignore_errors=True)
    else:
        try:
            unfinished.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if _is_complete(target, manifest):  # another process was faster
                return False
            raise _other_content(target) from error
    _sync(target.parent)
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
