"""Offer a snapshot to everybody, and take it back. Decision 116.

What is offered is decided by its row alone; files come before, and go after. So a killed process leaves files that
nobody is led to, and repeating its command ends what it began.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from oasst.core.audit.recording import record
from oasst.core.errors import Conflict, Gone
from oasst.core.locks import try_advisory_lock
from trees import acts
from trees.interchange.progress import CountDone
from trees.interchange.snapshots.chats import refuse_chats
from trees.interchange.snapshots.folder import write_folder
from trees.interchange.snapshots.frozen import get_frozen, refuse_retracted, unknown_snapshot
from trees.interchange.snapshots.published import files_of
from trees.interchange.snapshots.storage import snapshot_storage
from trees.interchange.snapshots.withdrawals import refuse_withdrawn
from trees.models import Happening, Snapshot
from trees.outbox.publishing import publish as publish_events


@dataclass(frozen=True)
class Publication:
    snapshot: Snapshot
    files: int
    uploaded: int  # files that the storage did not have already
    is_new: bool  # it was not offered before


def publish(
    name: str, *, written: CountDone = lambda done: None, uploaded: CountDone = lambda done: None
) -> Publication:
    """Write the folder of the snapshot if it is not there, store its files, and offer them. Twice changes nothing.

    Raise NotFound, Gone, Conflict (`snapshot_busy`, and what `refuse_withdrawn` and `write_folder` raise), Busy if the
    storage fails.
    """
    snapshot = get_frozen(name)
    refuse_chats(snapshot)
    refuse_withdrawn(snapshot)
    folder = settings.SNAPSHOT_FOLDER / snapshot.name
    write_folder(snapshot, folder, progress=written)
    files, storage = files_of(snapshot.manifest), snapshot_storage()
    try:
        with _alone_with(snapshot):
            added = storage.add(snapshot.name, folder, files.values(), uploaded)
            row = _lock(name)
            refuse_retracted(row)
            refuse_withdrawn(row)
            is_new = row.published_at is None
            if is_new:
                row.published_at, row.published_bytes = timezone.now(), sum(file.bytes for file in files.values())
                row.save(update_fields=["published_at", "published_bytes"])
                publish_events([_published(row)])
                record(acts.PUBLISH_SNAPSHOT, row, after={"snapshot": {str(row.pk): {"name": row.name}}})
    except (Gone, Conflict) as error:
        if error.code != "snapshot_busy":  # it was retracted, or one of its texts withdrawn, meanwhile
            remove_files(name)
        raise
    return Publication(row, len(files), added, is_new)


def _published(snapshot: Snapshot) -> Happening:
    return Happening(kind=Happening.Kind.SNAPSHOT_PUBLISHED, data={"snapshot": snapshot.name})


def unpublish(name: str) -> Snapshot:
    """Stop to offer the snapshot, and remove its files from a bucket; the written folder stays. Twice changes nothing.

    A retracted snapshot stays known as such. Raise NotFound, Conflict `snapshot_busy`, Busy if the storage fails.
    """
    snapshot = _find(name)
    with _alone_with(snapshot):
        row = _lock(name)
        if row.is_offered:
            row.published_at, row.published_bytes = None, 0
            row.save(update_fields=["published_at", "published_bytes"])
            record(acts.UNPUBLISH_SNAPSHOT, row, before={"snapshot": {str(row.pk): {"name": row.name}}})
    remove_files(name)
    return row


def remove_files(name: str) -> None:
    """Remove the files of a snapshot from the storage, unless it is offered. Raise as `unpublish`."""
    with _alone_with(_find(name)):
        if not _find(name).is_offered:
            snapshot_storage().remove(name)


@contextmanager
def _alone_with(snapshot: Snapshot) -> Iterator[None]:
    """Run the block in a transaction, while no other process publishes this snapshot or takes it back.

    The lock does not outlive the transaction, so a killed process leaves nothing to clean up. No row is locked while
    files are sent.
    """
    with transaction.atomic(durable=True):
        if not try_advisory_lock("snapshot publication", snapshot.pk):
            raise Conflict(
                f"{snapshot.name} is being published, or taken back, by another command. Try again when it is done.",
                code="snapshot_busy",
            )
        yield


def _lock(name: str) -> Snapshot:
    return Snapshot.objects.select_for_update(of=("self",), no_key=True).defer("withdrawn", "card").get(name=name)


def _find(name: str) -> Snapshot:
    snapshot = Snapshot.objects.filter(name=name).defer("withdrawn", "card", "manifest").first()
    if snapshot is None:
        raise unknown_snapshot(name)
    return snapshot
