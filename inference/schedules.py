"""What the clock sets off in the chat."""

from celery import shared_task

from inference import turns
from inference.policy import current_policy


@shared_task
def end_overdue() -> None:
    """Engines do this too while they run. Where none does, nobody may wait for ever."""
    turns.end_overdue(current_policy())
