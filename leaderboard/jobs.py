"""Celery jobs that run after a commit."""

from celery import shared_task

from leaderboard import tallies
from oasst.core.jobs import timed_rounds


@shared_task
def count_what_happened() -> None:
    """Count outbox events until none is left. Also runs periodically, in case a message to the worker was lost."""
    for _ in timed_rounds():
        if tallies.read_outbox() < tallies.BATCH:
            break
