"""The states of a turn."""

from enum import StrEnum


class TurnState(StrEnum):
    PENDING = "pending"
    """In the queue."""
    IN_PROGRESS = "in_progress"
    COMPLETE = "complete"
    STOPPED = "stopped"
    """The user stopped it; the text so far is the answer."""
    CANCELLED = "cancelled"
    """It never began, because the chat asked for another answer."""
    TIMED_OUT = "timeout"
    """It waited or took too long; the text so far is kept."""
    FAILED = "failed"


OPEN = frozenset({TurnState.PENDING, TurnState.IN_PROGRESS})
FINISHED = frozenset(TurnState) - OPEN
UNSUCCESSFUL = frozenset({TurnState.FAILED, TurnState.TIMED_OUT})
ANSWERABLE = frozenset({TurnState.COMPLETE, TurnState.STOPPED})
"""The user can reply to such an answer."""
