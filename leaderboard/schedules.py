"""What the clock sets off for scores."""

from celery import shared_task

from leaderboard import cached_statistics, tallies


@shared_task
def move_boards_on() -> None:
    """Let old work leave the boards of the day, the week and the month."""
    tallies.move_on()


@shared_task
def put_boards_in_order() -> None:
    """Give everybody whose scores changed the place that they give."""
    tallies.settle()


@shared_task
def refresh_statistics() -> None:
    """Compute the cached statistics anew."""
    cached_statistics.refresh()
