"""Periodic Celery jobs for scores."""

from celery import shared_task

from leaderboard import cached_statistics, tallies


@shared_task
def move_boards_on() -> None:
    """Remove old contributions from the boards of the day, the week and the month."""
    tallies.advance_frames()


@shared_task
def put_boards_in_order() -> None:
    """Copy changed scores to the indexed places."""
    tallies.order_boards()


@shared_task
def refresh_statistics() -> None:
    """Compute the cached statistics again."""
    cached_statistics.refresh()
