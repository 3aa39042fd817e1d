"""The folders of frozen snapshots that this machine trains on and evaluates with, by the digest of their manifest."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from inference.folders import folder_of_snapshot
from oasst.core.errors import Invalid
from trees.interchange.progress import CountDone
from trees.interchange.snapshots.folder import write_folder
from trees.interchange.snapshots.frozen import get_frozen
from trees.interchange.snapshots.manifest import MANIFEST, manifest_bytes
from trees.models import Snapshot


@dataclass(frozen=True)
class SnapshotHere:
    name: str
    digest: str
    """SHA-256 of its manifest."""
    folder: Path


def snapshot_here(name: str, progress: CountDone = lambda done: None) -> SnapshotHere:
    """Return the snapshot of this name, written to this machine if it is not there yet.

    Raise NotFound `no_snapshot`, Gone `snapshot_retracted`, and what `write_folder` raises.
    """
    snapshot = get_frozen(name)
    if not snapshot.manifest:
        _write_first(snapshot, progress)
    digest = sha256(manifest_bytes(snapshot.manifest)).hexdigest()
    folder = folder_of_snapshot(digest)
    # Whoever reads a file of it compares its digest, so a folder that is there is not read here.
    if not (folder / MANIFEST).is_file():
        write_folder(snapshot, folder, progress=progress)
    return SnapshotHere(snapshot.name, digest, folder)


def _write_first(snapshot: Snapshot, progress: CountDone) -> None:
    """Write a snapshot that never was: its digest, by which the folder is called, is only known afterwards."""
    unnamed = folder_of_snapshot(f"unnamed-{snapshot.pk}")
    write_folder(snapshot, unnamed, progress=progress)
    folder = folder_of_snapshot(sha256(manifest_bytes(snapshot.manifest)).hexdigest())
    try:
        unnamed.rename(folder)
    except OSError as error:
        if not (folder / MANIFEST).is_file():  # else another process was quicker
            raise Invalid(f"{folder}: cannot be written: {error.strerror or error}", code="output") from error
