"""Pairs of messages that say nearly the same: found by a job, decided by moderators."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import structlog
from django.core.cache import cache
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from oasst.accounts.access import require_moderator
from oasst.accounts.models import User
from oasst.accounts.rights import require_language
from oasst.core.after_commit import wake
from oasst.core.audit.recording import record
from oasst.core.audit.rows import as_plain
from oasst.core.errors import Conflict, NotFound
from oasst.core.jobs import MAX_SECONDS, JobTimeout, timed_rounds
from oasst.core.text.validation import clean_reason
from trees import acts
from trees.access import about
from trees.enrichment import embeddings, sketches
from trees.enrichment.near_duplicates import Found, same_meaning, same_wording
from trees.models import Message, MessageEmbedding, NearDuplicate, TextSketch, WaitingComparison
from trees.models.similarity import AboutText

log = structlog.get_logger(__name__)

MAX_PAIRS = 5
"""Of one message with those before it: a text that was sent a hundred times needs no five thousand pairs."""
BATCH = 10
"""Few, because one transaction compares them and holds their locks."""
ROUND = 20  # seconds
MARK = "trees.enrichment.pairs"
TAKEN_OVER_AT_ONCE = 1_000
Score = WaitingComparison.Score
_TABLES: Mapping[Score, type[TextSketch] | type[MessageEmbedding]] = {
    Score.WORDING: TextSketch,
    Score.MEANING: MessageEmbedding,
}


def find_pairs() -> int:
    """Compare what waits, for ROUND seconds, unless another worker does already, and return how many were compared.

    What is left then is for the next run, which is asked for: other jobs have their turn in between. A killed worker's
    mark ends by itself, and losing it is harmless, because rows are locked.
    """
    compared = 0
    for _ in timed_rounds(ROUND):
        if not _is_waiting() or not cache.add(MARK, True, timeout=ROUND + MAX_SECONDS):
            break
        try:
            number = _find_for(ROUND)
        finally:
            cache.delete(MARK)
        compared += number
        if not number:
            break
    else:
        wake(embeddings.PAIR_FINDER)
    return compared


def _is_waiting() -> bool:
    return WaitingComparison.objects.exists() or any(_left_by_the_release_before(table) for table in _TABLES.values())


def _left_by_the_release_before(table: type[TextSketch] | type[MessageEmbedding]) -> list[UUID]:
    """Return some of the rows that say themselves that they are not compared."""
    return list(table._default_manager.filter(compared=False).values_list("pk", flat=True)[:TAKEN_OVER_AT_ONCE])


def _find_for(seconds: float) -> int:
    compared = 0
    for score, table in _TABLES.items():
        if left := _left_by_the_release_before(table):
            _take_over(table, score, left)
    for _ in timed_rounds(seconds):
        number = sum(_compare(score) for score in _TABLES)
        compared += number
        if not number:
            break
    return compared


def _take_over(table: type[TextSketch] | type[MessageEmbedding], score: Score, ids: Sequence[UUID]) -> None:
    waiting = [WaitingComparison(message_id=pk, score=score) for pk in sorted(ids)]
    with transaction.atomic(durable=True):
        WaitingComparison.objects.bulk_create(waiting, ignore_conflicts=True)
        table._default_manager.filter(pk__in=ids).update(compared=True)


def _compare(score: Score, only: UUID | None = None) -> int:
    """Compare the next texts that were stored, at most BATCH, and return how many.

    Each is compared with all texts stored at that time, so of two that are stored at the same time the one that is
    compared last finds the other. If a batch fails, its texts are compared one by one, and the one to blame is left
    out for good.
    """
    ids: list[UUID] = []
    waiting = WaitingComparison.objects.filter(score=score, **({"message": only} if only else {}))
    try:
        with transaction.atomic(durable=True):
            free = waiting.select_for_update(skip_locked=True, of=("self",), no_key=True).order_by("message")
            ids = list(free.values_list("message_id", flat=True)[:BATCH])
            # Locked, so that an edit or a purge waits and then deletes the pairs, too.
            rows = _TABLES[score]._default_manager.select_for_update(of=("self",), no_key=True).filter(pk__in=ids)
            pairs: dict[tuple[UUID, UUID], float] = {}
            for row in rows.select_related("message").defer("message__search", "message__imported").order_by("message"):
                for (other, _), value in _others(row).items():
                    pairs[min(row.message_id, other), max(row.message_id, other)] = value
            _store_pairs(pairs, score.value)
            waiting.filter(message__in=ids).delete()
    except (JobTimeout, OperationalError, InterfaceError):  # not the fault of a text
        raise
    except Exception as error:
        if len(ids) > 1:
            return sum(_compare(score, only=pk) for pk in ids)
        if not ids:
            raise
        waiting.filter(message__in=ids).delete()
        log.warning("not_compared", message=str(ids[0]), score=score.value, error=type(error).__name__)
    return len(ids)


def _others(row: AboutText) -> Found:
    where = Q(is_prompt=row.is_prompt, lang=row.lang) & ~Q(message=row.message_id)
    # A suggested edit repeats its original on purpose.
    others = Message.objects.filter(deleted=False).exclude(correction_of=row.message_id)
    if row.message.correction_of_id:
        others = others.exclude(pk=row.message.correction_of_id)
    if isinstance(row, TextSketch):
        return same_wording(sketches.grams(row.message.text), where, others, MAX_PAIRS)
    assert isinstance(row, MessageEmbedding)
    if not embeddings.knows(row.model, row.lang):
        return {}
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


def decide(*, pair_id: int, actor: User, reason: str, status: NearDuplicate.Status) -> NearDuplicate:
    """Close a pair. It changes no message. Raise NotAllowed, Invalid (no reason), NotFound, Conflict (`decided`)."""
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic():
        pair = close(pair_id=pair_id, actor=actor, reason=reason, status=status)
        require_language(actor, pair.first.lang)
        watched = ("status", "reason", "decided_by_id", "decided_at")
        was = {"status": NearDuplicate.Status.OPEN.value, "reason": "", "decided_by_id": None, "decided_at": None}
        became = {name: as_plain(getattr(pair, name)) for name in watched}
        newer = max(pair.first, pair.second, key=lambda message: (message.created_at, message.pk))
        record(
            acts.DECIDE_PAIR,
            pair,
            actor=actor,
            person_id=newer.author_id,
            reason=reason,
            before={"near_duplicate": {str(pair.pk): was}},
            after={"near_duplicate": {str(pair.pk): became}},
        )
        return pair


def close(*, pair_id: int, actor: User, reason: str, status: NearDuplicate.Status) -> NearDuplicate:
    """Do what `decide` does in the open transaction, for a caller that has checked the actor and the reason."""
    pair = NearDuplicate.objects.select_for_update(of=("self",), no_key=True).filter(pk=pair_id).first()
    if pair is None:
        raise NotFound("There is no such pair.", code="pair_not_found")
    if pair.status != NearDuplicate.Status.OPEN:
        raise Conflict("This pair was decided already.", code="decided")
    pair.status, pair.reason, pair.decided_by, pair.decided_at = status, reason, actor, timezone.now()
    pair.save(update_fields=["status", "reason", "decided_by", "decided_at"])
    return pair
