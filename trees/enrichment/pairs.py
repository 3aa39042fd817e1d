"""Pairs of messages that say nearly the same: found by a job, decided by moderators, left out of exports on request."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Min, Q, QuerySet
from django.utils import timezone

from oasst.accounts.access import require_moderator
from oasst.accounts.models import User
from oasst.core.errors import Conflict, NotFound
from oasst.core.text.validation import clean_reason
from trees.access import about
from trees.enrichment import sketches
from trees.enrichment.near_duplicates import Found, same_meaning, same_wording
from trees.models import Message, MessageEmbedding, NearDuplicate, TextSketch
from trees.models.similarity import AboutText

MAX_PAIRS = 5
"""Of one message with those before it: a text that was sent a hundred times needs no five thousand pairs."""
BATCH = 100
MAX_COUNTED = 1_000
EXPORT_BATCH = 5_000


def find_pairs() -> int:
    """Compare the next texts that were stored, at most BATCH of each kind, and return how many were compared.

    Each is compared with all texts stored at that time, so of two that are stored at the same time the one that is
    compared last finds the other.
    """
    return _compare(TextSketch, "wording") + _compare(MessageEmbedding, "meaning")


def _compare(table: type[TextSketch] | type[MessageEmbedding], score: Literal["wording", "meaning"]) -> int:
    with transaction.atomic(durable=True):
        rows = table._default_manager.select_for_update(skip_locked=True, of=("self",), no_key=True)
        fresh = list(
            rows.filter(compared=False)
            .select_related("message")
            .defer("message__search", "message__imported")
            .order_by("message")[:BATCH]
        )
        pairs: dict[tuple[UUID, UUID], float] = {}
        for row in fresh:
            for (other, _), value in _others(row).items():
                pairs[min(row.message_id, other), max(row.message_id, other)] = value
        _store_pairs(pairs, score)
        table._default_manager.filter(pk__in=[row.pk for row in fresh]).update(compared=True)
    return len(fresh)


def _others(row: AboutText) -> Found:
    where = Q(is_prompt=row.is_prompt, lang=row.lang) & ~Q(message=row.message_id)
    # A suggested edit repeats its original on purpose.
    others = Message.objects.filter(deleted=False).exclude(correction_of=row.message_id)
    if row.message.correction_of_id:
        others = others.exclude(pk=row.message.correction_of_id)
    if isinstance(row, TextSketch):
        return same_wording(sketches.grams(row.message.text), where, others, MAX_PAIRS)
    assert isinstance(row, MessageEmbedding)
    return same_meaning(row.model, row.vector, where, others, MAX_PAIRS)


def _store_pairs(pairs: dict[tuple[UUID, UUID], float], score: str) -> None:
    """Store new pairs, and the score of known ones: what a moderator decided stays decided."""
    NearDuplicate.objects.bulk_create(
        [
            NearDuplicate(first_id=first, second_id=second, **{score: pairs[first, second]})
            for first, second in sorted(pairs)
        ],
        update_conflicts=True,
        unique_fields=["first", "second"],
        update_fields=[score],
    )


def waiting_pairs(rows: QuerySet[NearDuplicate] | None = None) -> QuerySet[NearDuplicate]:
    """Return the pairs that need a decision: both messages are readable by everybody."""
    rows = NearDuplicate.objects.all() if rows is None else rows
    return rows.filter(about("first"), about("second"), status=NearDuplicate.Status.OPEN)


def count_waiting() -> tuple[int, datetime | None]:
    """Return how many pairs wait, at most MAX_COUNTED, and since when the oldest has waited. One statement."""
    first = waiting_pairs().order_by("pk")[:MAX_COUNTED]
    counted = first.aggregate(number=Count("pk"), oldest=Min("created_at"))
    return counted["number"], counted["oldest"]


def decide(*, pair_id: int, actor: User, reason: str, status: NearDuplicate.Status) -> NearDuplicate:
    """Close a pair. It changes no message. Raise NotAllowed, Invalid (no reason), NotFound, Conflict (`decided`)."""
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic():
        pair = NearDuplicate.objects.select_for_update(of=("self",), no_key=True).filter(pk=pair_id).first()
        if pair is None:
            raise NotFound("There is no such pair.", code="pair_not_found")
        if pair.status != NearDuplicate.Status.OPEN:
            raise Conflict("This pair was decided already.", code="decided")
        pair.status, pair.reason, pair.decided_by, pair.decided_at = status, reason, actor, timezone.now()
        pair.save(update_fields=["status", "reason", "decided_by", "decided_at"])
    return pair


def near_duplicate_ids(message_ids: Iterable[UUID]) -> set[UUID]:
    """Return those of these messages that nearly repeat another of them, for exports that leave them out.

    Of a pair it is the one with the higher id, which for messages written here is the newer. Pairs that a moderator
    found different enough do not count.
    """
    ids = sorted(message_ids)
    known, repeated = set(ids), set[UUID]()
    pairs = NearDuplicate.objects.exclude(status=NearDuplicate.Status.DISMISSED)
    for start in range(0, len(ids), EXPORT_BATCH):
        rows = pairs.filter(second__in=ids[start : start + EXPORT_BATCH]).values_list("first_id", "second_id")
        repeated.update(second for first, second in rows if first in known)
    return repeated
