"""What earlier snapshots published and people withdrew since: whoever has a copy should delete it there too."""

from collections.abc import Container, Iterator
from itertools import islice
from uuid import UUID

import orjson
from django.db.models import QuerySet

from oasst.core.errors import Conflict
from trees.interchange.format import Node
from trees.interchange.pseudonyms import Pseudonyms
from trees.interchange.snapshots.frozen import decompress, read_record
from trees.interchange.snapshots.manifest import REMOVED
from trees.interchange.snapshots.salt import salt_digest, snapshot_pseudonyms
from trees.models import Deletion, Snapshot, SnapshotTree, Withdrawal

BATCH = 500  # trees or messages
AT_ONCE = 10  # frozen trees: each may have megabytes
WITHDRAWN, PURGED, BELOW = "withdrawn", "purged", "below_one_withdrawn"

Entries = dict[str, dict[str, str]]
"""By the pseudonym of the message."""
Reasons = dict[UUID, dict[str, str]]
"""Reasons by the pseudonyms of tree and message."""


def find_withdrawn(pseudonyms: Pseudonyms) -> list[dict[str, str]]:
    """Return the frozen messages that were withdrawn, purged or removed by moderators since, and all that was frozen
    below them.

    The list is complete, not only since the last snapshot. The trees of a retracted snapshot are gone: of what only it
    had, those messages are listed that a later snapshot listed before, as long as their reason is in force. The list is
    in memory; a frozen tree is read once for each batch of messages in it.
    """
    listed = _listed_before(pseudonyms)
    frozen = SnapshotTree.objects.filter(snapshot__state=Snapshot.State.FROZEN)
    found, in_force = _find(pseudonyms, frozen, listed)
    trees = {listed[message_id]["message_tree_id"] for message_id in in_force}
    for message_id, entry in listed.items():
        if message_id in in_force or (entry["reason"] == BELOW and entry["message_tree_id"] in trees):
            found.setdefault(message_id, entry)
    return sorted(found.values(), key=lambda entry: (entry["message_tree_id"], entry["message_id"]))


def refuse_withdrawn(snapshot: Snapshot) -> None:
    """Raise Conflict if a snapshot that is not published has texts that were withdrawn since it was frozen.

    What is published stays as it was, because others have copies. What was unpublished counts as never published: who
    has it may keep it, but nobody is given such texts from then on.
    """
    if snapshot.published_at is not None:
        return
    trees = SnapshotTree.objects.filter(snapshot=snapshot)
    if not trees.exists():
        return
    pseudonyms = snapshot_pseudonyms()
    if snapshot.salt_digest != salt_digest(pseudonyms):
        raise Conflict(
            f"{snapshot.name} was frozen with another SNAPSHOT_SALT, so what was withdrawn since cannot be found. "
            "Restore the salt, or freeze a new one.",
            code="snapshot_salt",
        )
    number = sum(entry["reason"] != BELOW for entry in _find(pseudonyms, trees)[0].values())
    if number:
        messages = "1 message was" if number == 1 else f"{number} messages were"
        raise Conflict(
            f"{snapshot.name} is not offered, and {messages} withdrawn, purged or removed since it was frozen. So it "
            "can no longer be published, even if it was before. Freeze what may be published now under another name "
            "with snapshot_create: withdrawn.jsonl of the new one lists what is missing.",
            code="snapshot_withdrawn",
        )


def _find(
    pseudonyms: Pseudonyms, frozen: QuerySet[SnapshotTree], listed: Container[str] = ()
) -> tuple[Entries, set[str]]:
    """Return the entries for these trees, and which of the listed messages a reason in force names."""
    found: Entries = {}
    in_force: set[str] = set()
    candidates = _candidates()
    while batch := list(islice(candidates, BATCH)):
        reasons: Reasons = {}
        for tree_id, message_id, reason in batch:
            tree, message = (pseudonyms.pseudonym("message", str(one)) for one in (tree_id, message_id))
            reasons.setdefault(UUID(tree), {}).setdefault(message, reason)
            if message in listed:
                in_force.add(message)
        for row in frozen.filter(tree_id__in=reasons).order_by("tree_id", "snapshot").iterator(chunk_size=AT_ONCE):
            for entry in _published(read_record(row).tree, reasons[row.tree_id]):
                known = found.setdefault(entry["message_id"], entry)
                if known["reason"] == BELOW:
                    known["reason"] = entry["reason"]
    return found, in_force


def _listed_before(pseudonyms: Pseudonyms) -> Entries:
    """Return what earlier snapshots with this salt list, retracted ones too."""
    listed: Entries = {}
    earlier = Snapshot.objects.filter(salt_digest=salt_digest(pseudonyms)).exclude(withdrawn=b"").order_by("pk")
    for content in earlier.values_list("withdrawn", flat=True).iterator(chunk_size=1):
        for line in decompress(content).splitlines():
            entry = orjson.loads(line)
            listed[entry["message_id"]] = entry
    return listed


def _candidates() -> Iterator[tuple[UUID, UUID, str]]:
    """Yield (tree, message, reason) of everything that its author withdrew, or that a purge or a moderator removed,
    published or not. The first reason of a message counts."""
    withdrawn = Withdrawal.objects.filter(status__in=Withdrawal.IN_FORCE, message__withdrawn=True)
    for tree_id, message_id in withdrawn.order_by("tree", "pk").values_list("tree", "message").iterator():
        yield tree_id, message_id, WITHDRAWN
    deleted = Deletion.objects.filter(undone_at=None)
    for reason, chosen in ((PURGED, deleted.exclude(purge=None)), (REMOVED, deleted.filter(purge=None))):
        for tree_id, message_id in chosen.order_by("tree", "pk").values_list("tree", "message").iterator():
            yield tree_id, message_id, reason


def _published(tree: Node, reasons: dict[str, str]) -> Iterator[dict[str, str]]:
    """Yield an entry for each of these messages in the tree, and for each message below one."""
    waiting: list[tuple[Node, str]] = [(tree["prompt"], "")]
    while waiting:
        node, above = waiting.pop()
        reason = reasons.get(node["message_id"]) or (BELOW if above else "")
        if reason:
            ids = {"message_tree_id": tree["message_tree_id"], "message_id": node["message_id"]}
            yield {**ids, "reason": reason}
        waiting.extend((reply, reason) for reply in node["replies"])
