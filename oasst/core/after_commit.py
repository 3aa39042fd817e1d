"""Handing work to the queue once the transaction is committed."""

from typing import Any

from celery import Task, current_app
from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from oasst.core.jobs import PATIENCE, STALE
from oasst.core.models import WaitingJob

PAUSE = 0.5  # seconds


def enqueue(job: "Task[Any, Any]", *args: Any) -> None:
    """Run `job` soon after the open transaction commits; not at all if it rolls back.

    The job is written down in the same transaction. A queue that does not answer, or loses it, costs nobody their
    answer: the clock sends it again.
    """
    waiting = WaitingJob.objects.create(job=job.name, args=list(args), due_at=timezone.now() + PATIENCE)
    transaction.on_commit(lambda: job.apply_async(args, task_id=str(waiting.pk), retry=False), robust=True)


def enqueue_by_name(job: str, *args: Any) -> None:
    """As `enqueue`, for a job of an app that stands above the caller's."""
    waiting = WaitingJob.objects.create(job=job, args=list(args), due_at=timezone.now() + PATIENCE)
    transaction.on_commit(
        lambda: current_app.send_task(job, args=args, task_id=str(waiting.pk), retry=False), robust=True
    )


def enqueue_once(job: "Task[Any, Any]", *args: Any) -> None:
    """The same, unless it waits to be run already."""
    if not WaitingJob.objects.filter(job=job.name, args=list(args)).exists():
        enqueue(job, *args)


def wake(job: str) -> None:
    """Run the job of this name soon after the commit. For jobs that find their work in the database by themselves.

    Of all that is committed within `PAUSE` the first sends for the job, which begins when that time is over: so it
    finds what the others did as well, and a hundred answers a second cost no more runs than two.
    """
    transaction.on_commit(lambda: _wake_once(job), robust=True)


def _wake_once(job: str) -> None:
    if cache.add(f"woken:{job}", 1, timeout=PAUSE):
        current_app.send_task(job, retry=False, countdown=PAUSE + 0.1, expires=STALE)
