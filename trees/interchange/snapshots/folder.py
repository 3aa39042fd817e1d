"""Write a frozen snapshot as a folder that appears only when it is complete, and never changes."""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex

import orjson
from django.db import transaction

from oasst.core.errors import Conflict, Invalid
from trees.interchange.data_card import card_files
from trees.interchange.figures import Figures
from trees.interchange.progress import CountDone
from trees.interchange.snapshots.chats import write_chats
from trees.interchange.snapshots.exchange import exchange
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

PARTIAL, FORMER = ".partial", ".former"
"""How hidden folders beside a snapshot end: unfinished, and set aside while another one takes its place."""
PATIENCE = 300  # seconds; whoever has the lock reads a snapshot at most


@dataclass(frozen=True)
class Result:
    manifest: Manifest
    existed: bool  # the folder was there already, with the same bytes


def write_folder(
    snapshot: Snapshot, target: Path, *, replace: bool = False, progress: CountDone = lambda done: None
) -> Result:
    """Write the snapshot as the folder `target`. If that is there with the same bytes, nothing changes.

    With `replace` another snapshot may be replaced. Raise Invalid if it cannot be written, Conflict: `folder_differs`
    for a folder with another content, `folder_busy` if another process has the folder above locked for long,
    `snapshot_files` if the files are not those of the first time, `snapshot_changed` if the rows in the database are
    not what was frozen.
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
    write_chats(snapshot, folder)
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
        # Earlier releases did not count these, and their snapshots keep their bytes.
        **{name: snapshot.counts[name] for name in ("topics", "near_duplicates") if name in snapshot.counts},
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
    unfinished = target.with_name(f".{target.name}.{token_hex(8)}{PARTIAL}")
    with _alone_in(target.parent):
        _clear_up(target)
        unfinished.mkdir()
        descriptor = os.open(unfinished, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        os.close(descriptor)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process names snapshots in this folder. The lock ends with the process.

    Raise Conflict `folder_busy` if that takes too long.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    deadline = time.monotonic() + PATIENCE
    try:
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise Conflict(f"Another process has locked {folder}. Try again later.", code="folder_busy")
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Lock a folder until it is closed, or return False if another process has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _clear_up(target: Path) -> None:
    """Put a folder back that a killed process had set aside, and remove what else such processes left."""
    beside = re.compile(rf"\.{re.escape(target.name)}\.\w+({re.escape(PARTIAL)}|{re.escape(FORMER)})")
    for folder in target.parent.iterdir():
        found = beside.fullmatch(folder.name)
        if found is None:
            continue
        if found[1] == PARTIAL:
            _remove_abandoned(folder)
        elif target.exists():
            shutil.rmtree(folder, ignore_errors=True)
        else:
            folder.rename(target)


def _remove_abandoned(folder: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if _try_lock(descriptor):  # not while its writer lives
                shutil.rmtree(folder)
        finally:
            os.close(descriptor)


def _put_in_place(unfinished: Path, target: Path, manifest: Manifest, *, replace: bool) -> bool:
    """Give the finished folder its name, or return False if that is there already with the same bytes.

    Raise Conflict if something else is there.
    """
    for path in [*unfinished.rglob("*"), unfinished]:
        _sync(path)
    with _alone_in(target.parent):
        if _is_complete(target, manifest):
            return False
        _refuse_target(target, replace=replace, is_known=True)  # others may have come since it was asked first
        if target.exists():
            _replace(unfinished, target)
        else:
            unfinished.rename(target)
        _sync(target.parent)
    return True


def _replace(unfinished: Path, target: Path) -> None:
    """Exchange the two folders. Where that takes two steps, `_clear_up` undoes the first one after a kill."""
    if exchange(unfinished, target):
        return
    former = unfinished.with_name(unfinished.name.removesuffix(PARTIAL) + FORMER)
    target.rename(former)
    try:
        unfinished.rename(target)
    except OSError:
        former.rename(target)
        raise
    former.rename(unfinished)  # which is removed at the end


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
