"""The states of a turn: an assistant's message on its way from asked for to answered."""

from enum import StrEnum


class TurnState(StrEnum):
    PENDING = "pending"
    """Asked for, stored, in the queue."""
    IN_PROGRESS = "in_progress"
    COMPLETE = "complete"
    STOPPED = "stopped"
    """The person stopped it; what was written until then is the answer."""
    CANCELLED = "cancelled"
    """It never began: the same chat asked for something else meanwhile."""
    TIMED_OUT = "timeout"
    """It waited or took too long; what was written until then is kept."""
    FAILED = "failed"


OPEN = frozenset({TurnState.PENDING, TurnState.IN_PROGRESS})
FINISHED = frozenset(TurnState) - OPEN
TROUBLED = frozenset({TurnState.FAILED, TurnState.TIMED_OUT})
ANSWERABLE = frozenset({TurnState.COMPLETE, TurnState.STOPPED})
"""After these the conversation can go on below the answer."""
