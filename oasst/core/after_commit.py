"""Handing work to the queue once the transaction is committed."""

from typing import Any

from celery import Task, current_app
from django.db import transaction
from django.utils import timezone

from oasst.core.jobs import PATIENCE, STALE
from oasst.core.models import WaitingJob


def enqueue(job: "Task[Any, Any]", *args: Any) -> None:
    """Run `job` soon after the open transaction commits; not at all if it rolls back.

    The job is written down in the same transaction. A queue that does not answer, or loses it, costs nobody their
    answer: the clock sends it again.
    """
    waiting = WaitingJob.objects.create(job=job.name, args=list(args), due_at=timezone.now() + PATIENCE)
    transaction.on_commit(lambda: job.apply_async(args, task_id=str(waiting.pk), retry=False), robust=True)


def wake(job: str) -> None:
    """Run the job of this name soon after the commit. For jobs that find their work in the database by themselves."""
    transaction.on_commit(lambda: current_app.send_task(job, retry=False, expires=STALE), robust=True)
