"""What the clock sets off for tasks."""

from celery import shared_task

from oasst.core.jobs import rounds
from tasks import upkeep
from trees.policy import current_policy


@shared_task
def clean_up() -> None:
    """Close expired tasks, drop drafts that were sent and answers that nobody repeats any more."""
    for _ in rounds():
        if upkeep.expire_tasks() < upkeep.BATCH:
            break
    upkeep.drop_finished_drafts()
    upkeep.forget_repeated_requests()


@shared_task
def move_trees_on() -> None:
    """Move what no answer moves: trees that a file brought in a state behind their messages."""
    upkeep.move_trees_on(policy=current_policy())
