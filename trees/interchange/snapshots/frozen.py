"""Frozen trees in the database."""

from collections.abc import Iterator
from hashlib import sha256
from uuid import UUID

import zstandard
from django.db.models import Q, QuerySet, Sum, Window

from oasst.core.errors import Conflict, Gone, NotFound
from trees.interchange.batches import BATCH, BATCH_BYTES, OctetLength
from trees.interchange.snapshots.canonical import parse_record
from trees.interchange.tree_record import TreeRecord, split_of
from trees.models import Snapshot, SnapshotTree

MANY_IDS = 10_000
LEVEL = 3


def compress(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=LEVEL).compress(data)


def decompress(data: bytes | memoryview) -> bytes:
    return zstandard.ZstdDecompressor().decompress(bytes(data))


def line_of(row: SnapshotTree) -> bytes:
    """Return the canonical JSON of a frozen tree. Raise Conflict if it is not what was frozen."""
    try:
        line = decompress(row.content)
    except zstandard.ZstdError:
        line = b""
    if sha256(line).digest() != bytes(row.sha256):
        raise Conflict(f"The frozen tree {row.tree_id} was changed in the database.", code="snapshot_changed")
    return line


def read_record(row: SnapshotTree) -> TreeRecord:
    return parse_record(line_of(row))


def frozen_lines(snapshot: Snapshot, split: str) -> Iterator[tuple[str, bytes]]:
    """Yield the id and the canonical JSON of the trees of a split in the order of their ids. Raise Conflict
    (`snapshot_changed`).

    Frozen trees do not change, so this needs no transaction.
    """
    rows = SnapshotTree.objects.filter(snapshot=snapshot).order_by("tree_id")
    for tree_ids in _tree_ids(rows, split):
        for row in _rows_of(rows, tree_ids):
            yield str(row.tree_id), line_of(row)


def _rows_of(rows: QuerySet[SnapshotTree], tree_ids: list[UUID]) -> Iterator[SnapshotTree]:
    """Yield the rows of these trees. Most often one statement, and more if they are large."""
    upto = Window(Sum(OctetLength("content")), order_by="tree_id")
    waiting = tree_ids
    while waiting:
        first = Q(tree_id=waiting[0])
        found = list(rows.filter(tree_id__in=waiting).annotate(upto=upto).filter(first | Q(upto__lte=BATCH_BYTES)))
        yield from found
        last = found[-1].tree_id if found else waiting[-1]
        waiting = [tree_id for tree_id in waiting if tree_id > last]


def _tree_ids(rows: QuerySet[SnapshotTree], split: str) -> Iterator[list[UUID]]:
    """Yield the ids of a split in batches. The database does not know the splits, but reads ids from the index."""
    wanted: list[UUID] = []
    last = UUID(int=0)
    while tree_ids := list(rows.filter(tree_id__gt=last).values_list("tree_id", flat=True)[:MANY_IDS]):
        wanted += [tree_id for tree_id in tree_ids if split_of(str(tree_id)) == split]
        while len(wanted) >= BATCH:
            yield wanted[:BATCH]
            wanted = wanted[BATCH:]
        last = tree_ids[-1]
    if wanted:
        yield wanted


def get_frozen(name: str) -> Snapshot:
    """Return the snapshot of this name. Raise NotFound, or Gone if it was retracted."""
    snapshot = Snapshot.objects.filter(name=name).first()
    if snapshot is None:
        raise unknown_snapshot(name)
    refuse_retracted(snapshot)
    return snapshot


def unknown_snapshot(name: str) -> NotFound:
    return NotFound(f"There is no snapshot {name!r}; snapshot_list shows all.", code="no_snapshot")


def refuse_retracted(snapshot: Snapshot) -> None:
    """Raise Gone if the snapshot was retracted."""
    if snapshot.state == Snapshot.State.RETRACTED:
        raise Gone(
            f"The snapshot {snapshot.name} was retracted: {snapshot.retract_reason} Choose another name.",
            code="snapshot_retracted",
        )
