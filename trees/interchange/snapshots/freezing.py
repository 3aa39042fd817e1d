"""Freeze the data set under a name, and retract what was frozen. Decision 106.

A snapshot is one transaction: it reads one moment of the database, and if it ends halfway nothing of it is left. Memory
grows neither with the number of trees nor with their sizes, beyond the largest one, and each batch of trees costs the
same few statements.
"""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.audit.recording import record
from oasst.core.audit.rows import as_plain
from oasst.core.errors import Conflict, Invalid
from oasst.core.locks import try_advisory_lock
from oasst.core.text.validation import clean_reason
from trees import acts
from trees.interchange.batches import tree_batches
from trees.interchange.near_duplicates import comparing
from trees.interchange.progress import CountDone
from trees.interchange.pseudonyms import Pseudonyms
from trees.interchange.selection import Inclusion
from trees.interchange.snapshots.bases import LeftOut, vouching_for
from trees.interchange.snapshots.canonical import SourceDigest, record_line
from trees.interchange.snapshots.chats import freeze_chats
from trees.interchange.snapshots.filters import Filters, whole_milliseconds, with_defaults
from trees.interchange.snapshots.frozen import compress, decompress, refuse_retracted, unknown_snapshot
from trees.interchange.snapshots.reading import Batch, Rules, Tally
from trees.interchange.snapshots.salt import salt_digest
from trees.interchange.snapshots.withdrawals import find_withdrawn
from trees.interchange.writer import consistent_read, nothing_matches, select_trees
from trees.models import MessageTree, Snapshot, SnapshotChats, SnapshotTree
from trees.models.snapshot import clean_name

FORMAT_VERSION = 1
LOCK = "snapshots"


def freeze(
    name: str,
    *,
    filters: Filters,
    pseudonyms: Pseudonyms,
    cutoff: datetime | None = None,
    new_salt: bool = False,
    created_by: User | None = None,
    progress: CountDone = lambda done: None,
) -> Snapshot:
    """Return the snapshot of this name, and freeze it now if there is none. `cutoff` is now by default.

    Raise Invalid (the name, or nothing to freeze), Gone if it was retracted, Conflict: `snapshot_differs` if it was
    frozen with other filters, `snapshot_busy` while another one is being frozen, `snapshot_salt` if the salt is not
    that of earlier snapshots and `new_salt` does not allow it.
    """
    if existing := find_same(name, filters=filters, pseudonyms=pseudonyms, cutoff=cutoff):
        return existing
    try:
        with consistent_read(access="READ WRITE"), transaction.atomic():
            # The lock does not outlive the transaction, so a killed process leaves nothing to clean up.
            if not try_advisory_lock(LOCK):
                raise Conflict("Another snapshot is being frozen. Try again when it is done.", code="snapshot_busy")
            # Taken now: this statement saw nothing that is later.
            cutoff = cutoff or whole_milliseconds(timezone.now() + timedelta(milliseconds=1))
            _refuse_other_salt(pseudonyms, allowed=new_salt)
            snapshot = Snapshot(
                name=name,
                format_version=FORMAT_VERSION,
                cutoff=cutoff,
                filters=filters.as_json(pseudonyms),
                salt_digest=salt_digest(pseudonyms),
                site_url="" if settings.IS_LOCAL else settings.PUBLIC_URL,
                created_by=created_by,
            )
            _freeze(snapshot, filters, pseudonyms, progress)
            facts = {"name": name, "cutoff": as_plain(cutoff), "filters": snapshot.filters}
            record(acts.FREEZE_SNAPSHOT, snapshot, actor=created_by, after={"snapshot": {str(snapshot.pk): facts}})
            return snapshot
    except IntegrityError as error:
        if not Snapshot.objects.filter(name__iexact=name).exists():
            raise
        # The other one committed before this one had the lock.
        raise Conflict(f"{name} was just frozen by another command. Try again.", code="snapshot_busy") from error


def find_same(
    name: str, *, filters: Filters, pseudonyms: Pseudonyms | None, cutoff: datetime | None = None
) -> Snapshot | None:
    """Return the snapshot of this name, or None if there is none yet. One statement.

    Writing it again needs no salt: without `pseudonyms`, or with those of another salt, the API clients that vouch for
    people are not compared. Raise Invalid (the name), Gone, Conflict `snapshot_differs`.
    """
    clean_name(name)
    existing = Snapshot.objects.filter(name__iexact=name).first()
    if existing is not None:
        if pseudonyms is not None and salt_digest(pseudonyms) == existing.salt_digest:
            wanted = filters.as_json(pseudonyms)
        else:
            wanted = filters.without_clients()
        _refuse_others(existing, name, wanted, cutoff)
    return existing


def retract(name: str, *, reason: str) -> Snapshot:
    """Delete the frozen trees and the card of a snapshot for good; its manifest and its name stay.

    Retracting twice changes nothing. Raise Invalid (the reason), NotFound, Conflict `snapshot_busy`.
    """
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        if not try_advisory_lock(LOCK):
            raise Conflict("A snapshot is being frozen. Try again when it is done.", code="snapshot_busy")
        snapshot = Snapshot.objects.select_for_update(of=("self",)).filter(name=name).first()
        if snapshot is None:
            raise unknown_snapshot(name)
        if snapshot.state == Snapshot.State.FROZEN:
            snapshot.state, snapshot.retracted_at = Snapshot.State.RETRACTED, timezone.now()
            snapshot.retract_reason, snapshot.card = reason, b""
            snapshot.save(update_fields=["state", "retracted_at", "retract_reason", "card"])
            SnapshotTree.objects.filter(snapshot=snapshot).delete()
            SnapshotChats.objects.filter(snapshot=snapshot).delete()
            record(acts.RETRACT_SNAPSHOT, snapshot, reason=reason)
        return snapshot


def withdrawn_of(snapshot: Snapshot) -> bytes:
    """Return the messages of earlier snapshots that were withdrawn before this one, as JSON lines."""
    return decompress(snapshot.withdrawn)


def _refuse_others(existing: Snapshot, name: str, wanted: dict[str, Any], cutoff: datetime | None) -> None:
    """Raise Gone or Conflict unless this is the same snapshot again."""
    if existing.name != name:
        raise Conflict(f"There is a snapshot {existing.name} already.", code="snapshot_differs", field="name")
    refuse_retracted(existing)
    if cutoff is not None and cutoff != existing.cutoff:
        wanted, given = {**wanted, "cutoff": cutoff.isoformat()}, {"cutoff": existing.cutoff.isoformat()}
    else:
        given = {}
    given = {key: value for key, value in {**with_defaults(existing.filters), **given}.items() if key in wanted}
    if wanted != given:
        differences = ", ".join(f"{key} {given.get(key)}" for key in wanted if wanted[key] != given.get(key))
        raise Conflict(
            f"{name} was frozen with other options: {differences}. Repeat those to write it again, or choose another "
            "name.",
            code="snapshot_differs",
        )


def _refuse_other_salt(pseudonyms: Pseudonyms, *, allowed: bool) -> None:
    latest = Snapshot.objects.order_by("-pk").only("name", "salt_digest").first()
    if latest is not None and latest.salt_digest != salt_digest(pseudonyms) and not allowed:
        raise Conflict(
            f"SNAPSHOT_SALT, or the file snapshot-salt in OASST_HOME, is not that of {latest.name}. With another one "
            "all ids change: readers could not compare the snapshots, and withdrawn messages would not be listed. "
            "Restore it, or allow the change with --new-salt.",
            code="snapshot_salt",
        )


def _freeze(snapshot: Snapshot, filters: Filters, pseudonyms: Pseudonyms, progress: CountDone) -> None:
    tally, done = Tally(), 0
    snapshot.withdrawn = compress(b"".join(orjson.dumps(one) + b"\n" for one in find_withdrawn(pseudonyms)))
    snapshot.source_sha256 = ""
    snapshot.save()
    with comparing(wordings=not filters.near_duplicates) as compared:
        rules = Rules(filters, snapshot.cutoff, pseudonyms, vouching_for(filters, pseudonyms), compared)
        for trees in tree_batches(_trees(filters, synthetic=filters.selection.synthetic)):
            _store(snapshot, Batch(trees, rules, tally))
            done += len(trees)
            progress(done)
    if not tally.has["trees"]:
        raise Invalid(_nothing_to_freeze(filters, tally), code="snapshot_empty")
    if not filters.synthetic:
        tally.left_out["trees"][LeftOut.SYNTHETIC] = _trees(filters, synthetic=Inclusion.ONLY).count()
    snapshot.counts = tally.as_json()
    if filters.chats:
        snapshot.counts["has"] |= freeze_chats(snapshot, pseudonyms)
    snapshot.source_sha256 = _source_digest(snapshot)
    snapshot.save(update_fields=["counts", "source_sha256"])


def _trees(filters: Filters, *, synthetic: Inclusion) -> QuerySet[MessageTree]:
    trees = select_trees(filters.selection, synthetic=synthetic)
    if filters.since is not None:
        trees = trees.filter(messages__parent=None, messages__created_at__gte=filters.since)
    return trees


def _store(snapshot: Snapshot, batch: Batch) -> None:
    rows = []
    for tree in batch.records():
        line = record_line(tree)
        digest = sha256(line).digest()
        rows.append(SnapshotTree(snapshot=snapshot, tree_id=UUID(tree.id), content=compress(line), sha256=digest))
    SnapshotTree.objects.bulk_create(rows)


def _source_digest(snapshot: Snapshot) -> str:
    digest = SourceDigest()
    rows = SnapshotTree.objects.filter(snapshot=snapshot).order_by("tree_id").values_list("tree_id", "sha256")
    for tree_id, sha in rows.iterator():
        digest.add(str(tree_id), bytes(sha))
    return digest.hexdigest()


def _nothing_to_freeze(filters: Filters, tally: Tally) -> str:
    reasons = tally.left_out["trees"]
    if not reasons:
        return nothing_matches(filters.selection)
    why = ", ".join(f"{reason} ({number})" for reason, number in sorted(reasons.items()))
    return (
        f"Nothing may be published. Prompts were left out: {why}. docs/operations.md, Snapshots, explains the reasons."
    )
