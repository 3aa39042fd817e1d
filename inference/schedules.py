"""What the clock sets off in the chat."""

from celery import shared_task

from inference.chats import cleanup
from inference.policy import current_policy
from inference.turns import lifecycle


@shared_task
def end_overdue() -> None:
    """Engines do this too while they run. Where none does, nobody may wait for ever."""
    lifecycle.end_overdue(current_policy())


@shared_task
def remove_what_is_due() -> int:
    """Chats that were deleted 30 days ago, what programs asked an hour ago, and the chats of people who left."""
    return cleanup.remove_what_is_due(current_policy())
