"""Tell people that a published snapshot has texts of theirs: one notice for each person and snapshot."""

from collections import Counter
from itertools import islice
from typing import Any

import structlog
from celery import shared_task
from django.db import transaction

from oasst.accounts.models import User
from oasst.core.jobs import NightJob
from oasst.site.models import Notice
from oasst.site.notices.storing import store
from trees.interchange.format import Node
from trees.interchange.snapshots.frozen import read_record
from trees.interchange.snapshots.salt import known_pseudonyms, salt_digest
from trees.models import Happening, Snapshot, SnapshotTree

log = structlog.get_logger(__name__)

TREES_AT_ONCE = 50  # frozen trees in memory: each may have megabytes
PEOPLE_AT_ONCE = 1000  # to a transaction


# It may take long. The WaitingJob asks again until it succeeds, also after a kill, and a second run tells nobody twice.
@shared_task(base=NightJob)
def tell_of_snapshot(happening_id: int) -> int:
    """Tell everybody whose texts the snapshot of this event has, while it is offered. Return how many were told now.

    Frozen trees name people by pseudonyms, so theirs are computed again and compared.
    """
    event = Happening.objects.filter(pk=happening_id).first()
    snapshot = Snapshot.objects.filter(name=event.data["snapshot"]).first() if event else None
    pseudonyms = known_pseudonyms()
    if event is None or snapshot is None or not snapshot.is_offered:
        return 0
    if pseudonyms is None or salt_digest(pseudonyms) != snapshot.salt_digest:
        log.warning("authors_not_told", snapshot=snapshot.name, hint="It was frozen with another SNAPSHOT_SALT.")
        return 0
    texts = _count_texts(snapshot)
    told = 0
    people = User.objects.filter(is_active=True, deleted_at=None).values_list("pk", flat=True)
    waiting = people.order_by("pk").iterator(chunk_size=PEOPLE_AT_ONCE)
    while person_ids := list(islice(waiting, PEOPLE_AT_ONCE)):
        counts = {pk: texts[pseudonyms.pseudonym("user", str(pk))] for pk in person_ids}
        told += _tell(event, snapshot, {pk: number for pk, number in counts.items() if number})
    return told


def _tell(event: Happening, snapshot: Snapshot, counts: dict[Any, int]) -> int:
    with transaction.atomic(durable=True):
        known = set(Notice.objects.filter(happening=event, person__in=counts).values_list("person", flat=True))
        told = store(
            Notice(
                person_id=person_id,
                kind=Notice.Kind.EXPORTED,
                happening=event,
                data={"snapshot": snapshot.name, "texts": number},
            )
            for person_id, number in counts.items()
            if person_id not in known
        )
    return len(told)


def _count_texts(snapshot: Snapshot) -> Counter[str]:
    """Return the number of messages by the pseudonym of their author."""
    counts: Counter[str] = Counter()
    rows = SnapshotTree.objects.filter(snapshot=snapshot).order_by("tree_id")
    for row in rows.iterator(chunk_size=TREES_AT_ONCE):
        waiting: list[Node] = [read_record(row).tree["prompt"]]
        while waiting:
            node = waiting.pop()
            if node.get("user_id"):
                counts[node["user_id"]] += 1
            waiting.extend(node["replies"])
    return counts
