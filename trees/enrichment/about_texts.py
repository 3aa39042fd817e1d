"""Keep the rows that are about the present texts of messages."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar
from uuid import UUID

from django.db.models import Q

from trees.enrichment.readers import Result, Text
from trees.models import Message, MessageEmbedding, NearDuplicate, PromptTopic, TextSketch

Row = TypeVar("Row", TextSketch, MessageEmbedding)


def replace_rows(
    table: type[Row], read: Sequence[tuple[Text, Result]], make: Callable[[Result, bool], Row | None]
) -> None:
    """Store a row for each text that is still present; `make` gives it from the result and "is a prompt", or None.

    Pairs of near-duplicates that were about an earlier text are forgotten; the new text is compared again.
    """
    results = {text.message_id: (text.revision_id, result) for text, result in read}
    # Locked, so that of two readings of one message the one of its present text is stored last.
    messages = Message.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=results).order_by("pk")
    rows = []
    for message_id, revision_id, parent_id, lang in messages.values_list("pk", "revision_id", "parent_id", "lang"):
        read_revision, result = results[message_id]
        row = make(result, parent_id is None) if read_revision == revision_id else None
        if row is not None:
            row.message_id, row.revision_id = message_id, revision_id
            row.lang, row.is_prompt = lang, parent_id is None
            rows.append(row)
    known = table._default_manager.filter(message__in=results)
    present = {row.revision_id for row in rows}
    changed = [pk for pk, revision in known.values_list("message_id", "revision_id") if revision not in present]
    forget_pairs(changed)
    known.delete()
    table._default_manager.bulk_create(rows)


def forget_pairs(message_ids: Iterable[UUID]) -> None:
    """Delete the pairs of messages whose text changed."""
    ids = list(message_ids)
    if ids:
        NearDuplicate.objects.filter(Q(first__in=ids) | Q(second__in=ids)).delete()


def forget(message_ids: Iterable[UUID]) -> None:
    """Delete all that is derived from these texts, which were erased: a vector tells what a text was about."""
    ids = list(message_ids)
    forget_pairs(ids)
    TextSketch.objects.filter(message__in=ids).delete()
    MessageEmbedding.objects.filter(message__in=ids).delete()
    PromptTopic.objects.filter(message__in=ids).delete()
