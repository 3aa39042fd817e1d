"""Periodic jobs of the chat."""

from celery import shared_task

from inference.battles import rating
from inference.chats import cleanup
from inference.policy import current_policy
from inference.turns import lifecycle


@shared_task
def end_overdue() -> None:
    """End overdue turns. Engines do this too, but none may be running."""
    lifecycle.end_overdue(current_policy())


@shared_task
def remove_what_is_due() -> int:
    """Remove deleted chats after 30 days, ephemeral ones after an hour, and those of users who left."""
    return cleanup.remove_due_chats(current_policy())


@shared_task
def rate_models() -> int:
    """Make the boards of models anew from the comparisons that people decided."""
    return rating.rate()
