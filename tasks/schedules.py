"""What the clock sets off for tasks."""

from celery import shared_task

from oasst.core.jobs import rounds
from tasks import capacity, estimates, upkeep
from trees.lifecycle.policy import current_policy


@shared_task
def clean_up() -> None:
    """Close expired tasks, drop drafts that were sent and answers that nobody repeats any more."""
    upkeep.drop_finished_drafts()
    upkeep.forget_repeated_requests()
    policy = current_policy()
    for _ in rounds():  # last, since a tree that fails is told at the end of its batch
        if upkeep.expire_tasks(policy=policy) < upkeep.BATCH:
            break


@shared_task
def move_trees_on() -> int:
    """Move what no event moved, and count it."""
    return upkeep.move_trees_on(policy=current_policy())


@shared_task
def measure_capacity() -> None:
    """Count what the people of each language did lately: so many conversations they are asked to carry. And how long
    they took.
    """
    capacity.measure()
    estimates.measure()
