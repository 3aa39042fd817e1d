"""Periodic Celery jobs for tasks."""

from celery import shared_task

from oasst.core import idempotency
from oasst.core.jobs import timed_rounds
from tasks import capacity, checks, estimates, upkeep
from trees.policies.reading import current_policy


@shared_task
def clean_up() -> None:
    """Close expired tasks; delete drafts that were sent and stored answers to repeated requests."""
    upkeep.drop_finished_drafts()
    idempotency.delete_old(older_than=upkeep.IDEMPOTENCY_PERIOD)
    policy = current_policy()
    for _ in timed_rounds():  # last, since a tree that fails raises at the end of its batch
        if upkeep.expire_tasks(policy=policy) < upkeep.BATCH:
            break


@shared_task
def move_trees_on() -> int:
    """Advance trees that no event moved, and return how many."""
    return upkeep.advance_active_trees(policy=current_policy())


@shared_task
def measure_capacity() -> None:
    """Measure for each language what its people did lately, which limits its supply, how long tasks took, and
    whether it has enough gold messages."""
    capacity.measure()
    estimates.measure()
    checks.measure(current_policy())
