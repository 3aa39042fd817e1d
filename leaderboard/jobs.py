"""Work that a commit sets off."""

from celery import shared_task

from leaderboard import tallies
from oasst.core.jobs import rounds


@shared_task
def count_what_happened() -> None:
    """Read the outbox until nothing is unread. The clock starts it too, for wake-ups that were lost."""
    for _ in rounds():
        if tallies.read_outbox() < tallies.BATCH:
            break
