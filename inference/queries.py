"""Reads of the chat. Nothing here writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from uuid import UUID

from django.db import connection
from django.db.models import Avg, F, Q
from django.db.models.functions import Now

from inference.models import ChatMessage, Turn
from inference.turns.states import TurnState

_A_GUESS = 20.0
"""Seconds for an answer, before any was given."""

CLAIMABLE_SQL = """
    (turn.state = 'pending' OR (turn.state = 'in_progress' AND turn.lease_until < statement_timestamp()))
    AND (turn.wanted_until IS NULL OR turn.wanted_until >= statement_timestamp())
"""
WANTED = Q(wanted_until=None) | Q(wanted_until__gte=Now())
# Everybody's first waiting turn comes before anybody's second; an answer that is being written counts as one. So
# whoever asks ten things at once waits behind the others with nine of them. `round` is also how many answers the person
# would have under way with this one. Of one person, what a page asked comes before what a program of theirs did.
ORDER_SQL = f"""
    SELECT turn.message_id, turn.user_id, turn.queued_at AS since, turn.began_at IS NOT NULL AS begun,
           row_number() OVER (
               PARTITION BY turn.user_id, turn.model
               ORDER BY turn.began_at IS NULL, turn.by_program, turn.queued_at, turn.message_id
           ) + COALESCE(held.number, 0) AS round
    FROM inference_turn turn
    LEFT JOIN (
        SELECT user_id, count(*) AS number FROM inference_turn
        WHERE state = 'in_progress' AND lease_until >= statement_timestamp() GROUP BY user_id
    ) held USING (user_id)
    WHERE {CLAIMABLE_SQL}
"""
ORDER_BY = "begun DESC, round, since, message_id"
"""What was interrupted goes first: its person has read half of it."""

_THREAD_SQL = """
    WITH RECURSIVE thread AS (
        SELECT id, parent_id, 1 AS size FROM inference_chatmessage WHERE id = %s
        UNION ALL
        SELECT message.id, message.parent_id, size + 1 FROM inference_chatmessage message
        JOIN thread ON message.id = thread.parent_id WHERE size < %s
    )
    SELECT id FROM thread ORDER BY size DESC
"""
_NEWEST_BELOW_SQL = """
    WITH RECURSIVE down AS (
        SELECT %s::uuid AS id, 1 AS depth
        UNION ALL
        SELECT (
            SELECT reply.id FROM inference_chatmessage reply WHERE reply.parent_id = down.id
            ORDER BY reply.created_at DESC, reply.id DESC LIMIT 1
        ), depth + 1
        FROM down WHERE down.id IS NOT NULL
    )
    SELECT id FROM down WHERE id IS NOT NULL ORDER BY depth DESC LIMIT 1
"""
_NO_BOUND = 1_000_000


@dataclass(frozen=True)
class Place:
    position: int
    """1 is the next one."""
    size: int
    wait_seconds: int


def find_place(turn_id: UUID) -> Place | None:
    """The place of a waiting turn in the queue, and about how long it will wait. None when it does not wait."""
    ids = [one for one, _ in _line()]
    if turn_id not in ids:
        return None
    position = ids.index(turn_id) + 1
    return Place(position, len(ids), expected_wait(position))


def expected_wait_of(user_id: UUID) -> int:
    """Seconds until the first of the person's waiting turns begins; until the next one of anybody where none waits."""
    people = [one for _, one in _line()]
    return expected_wait(people.index(user_id) + 1 if user_id in people else 1)


def _line() -> Sequence[tuple[UUID, UUID]]:
    """Each turn that waits and its person, in the order in which they begin."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT message_id, user_id FROM ({ORDER_SQL}) waiting ORDER BY {ORDER_BY}")
        return cursor.fetchall()


def expected_wait(position: int) -> int:
    """Seconds until the turn at this position begins: by how long answers take lately, and how many go on at once."""
    recent = Turn.objects.filter(state=TurnState.COMPLETE, began_at__isnull=False).order_by("-ended_at")[:20]
    average = recent.aggregate(seconds=Avg(F("ended_at") - F("began_at")))["seconds"]
    each = average.total_seconds() if average is not None else _A_GUESS
    running = Turn.objects.filter(state=TurnState.IN_PROGRESS).count()
    return ceil(each * position / max(running, 1))


def thread_of(message_id: UUID) -> list[ChatMessage]:
    """The message and all it answers, oldest first."""
    ids = thread_ids(message_id)
    found = ChatMessage.objects.in_bulk(ids)
    return [found[one] for one in ids if one in found]


def thread_ids(message_id: UUID, at_most: int = _NO_BOUND) -> Sequence[UUID]:
    """The message and what it answers, oldest first; of a longer thread its end."""
    with connection.cursor() as cursor:
        cursor.execute(_THREAD_SQL, [message_id, at_most])
        return [row[0] for row in cursor.fetchall()]


def newest_below(message_id: UUID) -> UUID:
    """Where one comes out who follows the newest reply from here on."""
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST_BELOW_SQL, [message_id])
        found: UUID = cursor.fetchone()[0]
        return found
