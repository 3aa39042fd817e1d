"""Which texts wait to be read, for which kinds.

The rows of `MessageReading` are the queue. A worker claims rows by moving `due_at` to the end of its lease, so what a
killed worker held is due again by itself, and `attempts` says whose claim a row is: a worker that was too slow stores
nothing over the result of its successor.
"""

import json
import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from oasst.core import redaction
from trees.enrichment.readers import Result, Text
from trees.models import Message, MessageReading, Revision

BATCH = 500
"""Texts that one statement queues."""
LEASE = timedelta(minutes=5)
MAX_ATTEMPTS = 8
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=6)


@dataclass(frozen=True)
class Claim:
    """A row that this worker holds, and its text."""

    row_id: int
    attempts: int
    text: Text


# --- Asking for readings ---


def queue_unread(kinds: Collection[str]) -> int:
    """Queue the oldest unread texts for these kinds and return how many were unread, at most BATCH. One statement.

    A text that an edit has replaced meanwhile is left out.
    """
    return _number(
        """
        WITH fresh AS MATERIALIZED (
            SELECT id FROM trees_revision WHERE unread ORDER BY id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
        ), marked AS (
            UPDATE trees_revision SET unread = false FROM fresh WHERE trees_revision.id = fresh.id
        ), queued AS (
            INSERT INTO trees_messagereading (revision_id, kind)
            SELECT fresh.id, kind
            FROM fresh JOIN trees_message ON trees_message.revision_id = fresh.id, unnest(%s::text[]) AS kind
            ON CONFLICT DO NOTHING
        )
        SELECT count(*) FROM fresh
        """,
        [BATCH, list(kinds)],
    )


def queue_messages(message_ids: Collection[UUID], kinds: Collection[str], *, read_before: datetime | None) -> int:
    """Queue the present texts of these messages and return the number of readings asked for. One statement.

    Asks for what is missing or was given up, and for what was read before `read_before`. An older result stays until
    the new one replaces it.
    """
    return _number(
        """
        WITH queued AS (
            INSERT INTO trees_messagereading AS known (revision_id, kind)
            SELECT revision_id, kind FROM trees_message, unnest(%s::text[]) AS kind
            WHERE id = ANY(%s) AND NOT deleted AND NOT withdrawn AND text <> ''
            ORDER BY revision_id, kind
            ON CONFLICT (revision_id, kind) DO UPDATE SET due_at = now(), attempts = 0, error = ''
            WHERE known.due_at IS NULL AND (known.result IS NULL OR known.read_at < %s)
            RETURNING 1
        )
        SELECT count(*) FROM queued
        """,
        [list(kinds), list(message_ids), read_before],
    )


def mark_unread(message_ids: Collection[UUID]) -> None:
    """Let machines read these messages if they have not, since nobody reads deleted and withdrawn texts. The caller
    publishes an event, which wakes them.
    """
    revisions = Message.objects.filter(pk__in=message_ids).values("revision")
    Revision.objects.filter(pk__in=revisions).update(unread=True)


def _number(sql: str, params: Sequence[Any]) -> int:
    with connection.cursor() as cursor:  # By hand: the ORM can neither insert from a query nor skip locked rows in one
        cursor.execute(sql, params)
        return int(cursor.fetchone()[0])


def kinds_due(kinds: Iterable[str]) -> list[str]:
    """Return those of these kinds that have a text to read now."""
    now = timezone.now()
    return [kind for kind in kinds if MessageReading.objects.filter(kind=kind, due_at__lte=now).exists()]


# --- Reading ---


def claim(kind: str, limit: int) -> list[Claim]:
    """Claim the next texts of this kind, at most `limit`.

    A text that was tried before comes alone, so that one that kills its worker takes no others with it. Rows whose
    text is deleted, withdrawn or replaced are removed.
    """
    while True:
        with transaction.atomic(durable=True):
            rows = _claim_rows(kind, limit)
            texts = _present_texts([row.revision_id for row in rows])
            gone = [row.pk for row in rows if row.revision_id not in texts]
            if gone:
                MessageReading.objects.filter(pk__in=gone).delete()
        claims = [Claim(row.pk, row.attempts + 1, texts[row.revision_id]) for row in rows if row.revision_id in texts]
        if claims and claims[0].attempts > MAX_ATTEMPTS:
            give_up(claims.pop(), TimeoutError(f"no reader came to its end in {MAX_ATTEMPTS} attempts"))
        if claims or not rows:
            return claims


def _claim_rows(kind: str, limit: int) -> list[MessageReading]:
    now = timezone.now()
    waiting = MessageReading.objects.select_for_update(skip_locked=True, of=("self",), no_key=True)
    due = list(waiting.filter(kind=kind, due_at__lte=now).order_by("due_at", "pk")[:limit])
    rows = list(takewhile(lambda row: row.attempts == 0, due)) or due[:1]
    MessageReading.objects.filter(pk__in=[row.pk for row in rows]).update(
        due_at=now + LEASE, attempts=F("attempts") + 1
    )
    return rows


def _present_texts(revision_ids: Collection[UUID]) -> dict[UUID, Text]:
    rows = Message.objects.filter(revision__in=revision_ids, deleted=False, withdrawn=False).exclude(text="")
    return {
        revision_id: Text(revision_id, pk, text, lang)
        for revision_id, pk, text, lang in rows.values_list("revision_id", "pk", "text", "lang")
    }


# --- What became of it ---


def store(read: Sequence[tuple[Claim, Result]]) -> set[int]:
    """Store results and return the ids of the rows that took one: those that are still ours. One statement.

    What people decided about an earlier result holds while the result is the same.
    """
    rows = [(c.row_id, c.attempts, r.model[:200], r.version[:100], json.dumps(r.values), r.flagged) for c, r in read]
    with connection.cursor() as cursor:  # By hand: `bulk_update` takes longer than most readers
        cursor.execute(
            """
            UPDATE trees_messagereading one
            SET model = fresh.model, version = fresh.version, result = fresh.result,
                flagged = fresh.flagged AND (one.settled_at IS NULL OR one.result IS DISTINCT FROM fresh.result),
                settled_at = CASE WHEN one.result = fresh.result THEN one.settled_at END,
                author_keeps = one.author_keeps AND one.result IS NOT DISTINCT FROM fresh.result,
                read_at = statement_timestamp(), due_at = NULL, attempts = 0, error = ''
            FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::text[], %s::jsonb[], %s::bool[])
                AS fresh(id, attempts, model, version, result, flagged)
            WHERE one.id = fresh.id AND one.attempts = fresh.attempts AND one.due_at IS NOT NULL
            RETURNING one.id
            """,
            [list(column) for column in zip(*rows, strict=True)] or [[]] * 6,
        )
        return {row_id for (row_id,) in cursor.fetchall()}


def retry_later(claim: Claim, error: Exception) -> None:
    """Store that an attempt failed. The pause doubles each time; after MAX_ATTEMPTS the text is given up."""
    pause = min(FIRST_PAUSE * 2 ** (claim.attempts - 1), LONGEST_PAUSE) * random.uniform(0.75, 1.25)  # noqa: S311
    is_last = claim.attempts >= MAX_ATTEMPTS
    _set(claim, due_at=None if is_last else timezone.now() + pause, error=_sentence(error))


def give_up(claim: Claim, reason: Exception) -> None:
    """Store that this text will have no result, and why."""
    _set(claim, due_at=None, error=_sentence(reason))


def put_back(claims: Sequence[Claim], *, seconds: float) -> None:
    """End these claims as if they had not been made. The texts are due again after so many seconds."""
    due_at = timezone.now() + timedelta(seconds=seconds * random.uniform(1, 1.25))  # noqa: S311
    for attempts in {claim.attempts for claim in claims}:
        ids = [claim.row_id for claim in claims if claim.attempts == attempts]
        rows = MessageReading.objects.filter(pk__in=ids, attempts=attempts, due_at__isnull=False)
        rows.update(due_at=due_at, attempts=attempts - 1)


def _set(claim: Claim, **values: object) -> None:
    rows = MessageReading.objects.filter(pk=claim.row_id, attempts=claim.attempts, due_at__isnull=False)
    rows.update(**values)


def _sentence(error: Exception) -> str:
    return redaction.clean_line(f"{type(error).__name__}: {error}")[:500]
