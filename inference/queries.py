"""Reads of the chat. Nothing here writes."""

from dataclasses import dataclass
from math import ceil
from uuid import UUID

from django.db.models import Avg, F, Q
from django.db.models.functions import Now

from inference.models import ChatMessage, Turn
from inference.turns.states import TurnState

_A_GUESS = 20.0
"""Seconds for an answer, before any was given."""

WANTED = Q(wanted_until=None) | Q(wanted_until__gte=Now())


@dataclass(frozen=True)
class Place:
    position: int
    """1 is the next one."""
    size: int
    wait_seconds: int


def find_place(turn_id: UUID) -> Place | None:
    """The place of a waiting turn in the queue, and about how long it will wait. None when it does not wait."""
    ids = [one for one, _ in Turn.objects.line()]
    if turn_id not in ids:
        return None
    position = ids.index(turn_id) + 1
    return Place(position, len(ids), expected_wait(position))


def expected_wait_of(user_id: UUID) -> int:
    """Seconds until the first of the person's waiting turns begins; until the next one of anybody where none waits."""
    people = [one for _, one in Turn.objects.line()]
    return expected_wait(people.index(user_id) + 1 if user_id in people else 1)


def expected_wait(position: int) -> int:
    """Seconds until the turn at this position begins: by how long answers take lately, and how many go on at once."""
    recent = Turn.objects.filter(state=TurnState.COMPLETE, began_at__isnull=False).order_by("-ended_at")[:20]
    average = recent.aggregate(seconds=Avg(F("ended_at") - F("began_at")))["seconds"]
    each = average.total_seconds() if average is not None else _A_GUESS
    running = Turn.objects.filter(state=TurnState.IN_PROGRESS).count()
    return ceil(each * position / max(running, 1))


def thread_of(message_id: UUID) -> list[ChatMessage]:
    """The message and all it answers, oldest first."""
    ids = ChatMessage.objects.thread_ids(message_id)
    found = ChatMessage.objects.in_bulk(ids)
    return [found[one] for one in ids if one in found]
