"""What earlier snapshots published and people withdrew since: whoever has a copy should delete it there too."""

from collections.abc import Iterator
from itertools import islice
from uuid import UUID

from trees.interchange.format import Node
from trees.interchange.pseudonyms import Pseudonyms
from trees.interchange.snapshots.frozen import read_record
from trees.models import Deletion, Snapshot, SnapshotTree, Withdrawal

BATCH = 500  # trees or messages
WITHDRAWN, PURGED, BELOW = "withdrawn", "purged", "below_one_withdrawn"

Reasons = dict[UUID, dict[str, str]]
"""Reasons by the pseudonyms of tree and message."""


def find_withdrawn(pseudonyms: Pseudonyms) -> list[dict[str, str]]:
    """Return the published messages that were withdrawn or purged since, and all that was published below them.

    The list is complete, not only since the last snapshot. It is in memory; a published tree is read once for each
    batch of messages in it.
    """
    found: dict[str, dict[str, str]] = {}
    candidates = _candidates()
    while batch := list(islice(candidates, BATCH)):
        reasons: Reasons = {}
        for tree_id, message_id, reason in batch:
            tree = UUID(pseudonyms.pseudonym("message", str(tree_id)))
            reasons.setdefault(tree, {})[pseudonyms.pseudonym("message", str(message_id))] = reason
        rows = SnapshotTree.objects.filter(tree_id__in=reasons, snapshot__state=Snapshot.State.FROZEN)
        for row in rows.order_by("tree_id", "snapshot").iterator(chunk_size=BATCH):
            for entry in _published(read_record(row).tree, reasons[row.tree_id]):
                known = found.setdefault(entry["message_id"], entry)
                if known["reason"] == BELOW:
                    known["reason"] = entry["reason"]
    return sorted(found.values(), key=lambda entry: (entry["message_tree_id"], entry["message_id"]))


def _candidates() -> Iterator[tuple[UUID, UUID, str]]:
    """Yield (tree, message, reason) of everything that its author withdrew or a purge removed, published or not."""
    withdrawn = Withdrawal.objects.filter(status__in=Withdrawal.IN_FORCE, message__withdrawn=True)
    for tree_id, message_id in withdrawn.order_by("tree", "pk").values_list("tree", "message").iterator():
        yield tree_id, message_id, WITHDRAWN
    purged = Deletion.objects.filter(purge__isnull=False, undone_at=None).order_by("tree", "pk")
    for tree_id, message_id in purged.values_list("tree", "message").iterator():
        yield tree_id, message_id, PURGED


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
