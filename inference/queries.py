"""Read-only queries of the chat."""

from dataclasses import dataclass
from math import ceil
from uuid import UUID

from django.db.models import Avg, F, Q
from django.db.models.functions import Now

from inference.models import ChatMessage, Turn
from inference.turns.states import TurnState

_ANSWER_SECONDS = 20.0
"""The estimate before the first answer."""

AWAITED = Q(wanted_until=None) | Q(wanted_until__gte=Now())


@dataclass(frozen=True)
class QueuePosition:
    position: int
    """1 is the next one."""
    size: int
    wait_seconds: int


def find_queue_position(turn_id: UUID) -> QueuePosition | None:
    """Return the position of a turn in the queue with its expected wait, or None if it does not wait."""
    ids = [id for id, _ in Turn.objects.queue()]
    if turn_id not in ids:
        return None
    position = ids.index(turn_id) + 1
    return QueuePosition(position, len(ids), expected_wait(position))


def expected_wait_of_user(user_id: UUID) -> int:
    """Return the seconds until the user's first waiting turn begins, or the next turn if the user has none."""
    user_ids = [id for _, id in Turn.objects.queue()]
    return expected_wait(user_ids.index(user_id) + 1 if user_id in user_ids else 1)


def expected_wait(position: int) -> int:
    """Return the seconds until the turn at this position begins, from recent durations and the answers in progress."""
    recent = Turn.objects.filter(state=TurnState.COMPLETE, began_at__isnull=False).order_by("-ended_at")[:20]
    average = recent.aggregate(seconds=Avg(F("ended_at") - F("began_at")))["seconds"]
    each = average.total_seconds() if average is not None else _ANSWER_SECONDS
    running = Turn.objects.filter(state=TurnState.IN_PROGRESS).count()
    return ceil(each * position / max(running, 1))


def thread_of(message_id: UUID) -> list[ChatMessage]:
    """Return the message and those above it, oldest first."""
    ids = ChatMessage.objects.thread_ids(message_id)
    messages = ChatMessage.objects.in_bulk(ids)
    return [messages[message_id] for message_id in ids if message_id in messages]
