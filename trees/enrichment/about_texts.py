"""Keep the rows that are about the present texts of messages."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar
from uuid import UUID

from django.db.models import Q

from oasst.core.locks import advisory_lock
from trees.enrichment.readers import Result, Text
from trees.models import Message, MessageEmbedding, NearDuplicate, PromptTopic, TextSketch, WaitingComparison

Row = TypeVar("Row", TextSketch, MessageEmbedding)


def replace_rows(
    table: type[Row],
    read: Sequence[tuple[Text, Result]],
    make: Callable[[Result], Row | None],
    *,
    compare_by: WaitingComparison.Score,
    compare_replies: bool,
) -> None:
    """Store a row for each text that is still present; `make` gives it from the result, or None. Texts with a row wait
    to be compared then; without `compare_replies` only prompts do.

    Pairs of near-duplicates that were about an earlier text are forgotten; the new text is compared again.

    Messages are not locked: filling the index takes long, and reviews would wait. One transaction at a time writes a
    table, so of two readings of one message the one of its present text is stored last. A purge deletes the
    `MessageReading` rows first, which the caller's transaction holds, so it waits for these rows and deletes them.
    """
    advisory_lock("trees.enrichment", table._meta.label)
    results = {text.message_id: (text.revision_id, result) for text, result in read}
    messages = Message.objects.filter(pk__in=results).exclude(text="").order_by("pk")
    rows, present = [], dict[UUID, UUID]()
    for message_id, revision_id, parent_id, lang in messages.values_list("pk", "revision_id", "parent_id", "lang"):
        read_revision, result = results[message_id]
        if read_revision != revision_id:
            continue  # a late result: the row may already be about the present text
        present[message_id] = revision_id
        row = make(result)
        if row is not None:
            row.message_id, row.revision_id = message_id, revision_id
            row.lang, row.is_prompt, row.compared = lang, parent_id is None, True  # see the model
            rows.append(row)
    _let_wait([row.message_id for row in rows if row.is_prompt or compare_replies], compare_by)
    known = table._default_manager.filter(message__in=present)
    changed = [pk for pk, revision in known.values_list("message_id", "revision_id") if revision != present[pk]]
    known.delete()
    _forget_pairs(changed)
    table._default_manager.bulk_create(rows)


def _let_wait(ids: Sequence[UUID], score: WaitingComparison.Score) -> None:
    """Mark texts as not compared. The job that compares one holds its mark, so this waits for it, and the mark that
    comes afterwards is about the new row. First of all locks, as in the job.
    """
    WaitingComparison.objects.bulk_create(
        [WaitingComparison(message_id=pk, score=score) for pk in ids],
        update_conflicts=True,
        unique_fields=["message", "score"],
        update_fields=["score"],
    )


def _forget_pairs(ids: Sequence[UUID]) -> None:
    """Delete the pairs of these messages.

    Called after their rows are deleted, since the job that finds pairs also locks a row before its pairs: so nobody
    waits in a circle, and pairs that the job has just stored are seen.
    """
    if ids:
        pairs = NearDuplicate.objects.filter(Q(first__in=ids) | Q(second__in=ids))
        in_order = pairs.select_for_update(of=("self",)).order_by("first_id", "second_id")  # as they are stored
        NearDuplicate.objects.filter(pk__in=list(in_order.values_list("pk", flat=True))).delete()


def forget(message_ids: Iterable[UUID]) -> None:
    """Delete all that is derived from these texts, which were erased: a vector tells what a text was about."""
    ids = list(message_ids)
    TextSketch.objects.filter(message__in=ids).delete()
    MessageEmbedding.objects.filter(message__in=ids).delete()
    _forget_pairs(ids)
    PromptTopic.objects.filter(message__in=ids).delete()
