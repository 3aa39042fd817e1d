"""What the clock sets off for tasks."""

from celery import shared_task

from tasks import upkeep


@shared_task
def clean_up() -> None:
    """Close expired tasks, drop drafts that were sent and answers that nobody repeats any more."""
    while upkeep.expire_tasks() == upkeep.BATCH:
        pass
    upkeep.drop_finished_drafts()
    upkeep.forget_repeated_requests()
