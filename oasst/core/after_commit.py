"""Send jobs to the queue once the transaction is committed."""

from typing import Any

from celery import Task, current_app
from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from oasst.core.jobs import EXPIRES_AFTER, RESEND_AFTER, RESEND_LONG_AFTER
from oasst.core.models import WaitingJob

WAKE_DELAY = 0.5  # seconds


def enqueue(job: "Task[Any, Any]", *args: Any) -> None:
    """Run `job` soon after the open transaction commits, and not at all if it rolls back.

    The same transaction stores the job, so the clock can send it again if the queue is down or loses it.
    """
    waiting = WaitingJob.objects.create(job=job.name, args=list(args), due_at=timezone.now() + RESEND_AFTER)
    transaction.on_commit(lambda: job.apply_async(args, task_id=str(waiting.pk), retry=False), robust=True)


def enqueue_by_name(job: str, *args: Any) -> None:
    """Enqueue a job of an app in a higher layer, which the caller may not import."""
    waiting = WaitingJob.objects.create(job=job, args=list(args), due_at=timezone.now() + RESEND_AFTER)
    transaction.on_commit(
        lambda: current_app.send_task(job, args=args, task_id=str(waiting.pk), retry=False), robust=True
    )


def enqueue_once(job: "Task[Any, Any]", *args: Any) -> None:
    """Enqueue a job unless the same job is already waiting."""
    if not WaitingJob.objects.filter(job=job.name, args=list(args)).exists():
        enqueue(job, *args)


def enqueue_each_once(job: "Task[Any, Any]", calls: list[list[Any]]) -> int:
    """Enqueue a job for each list of arguments for which it is not waiting already; return how many. Two statements."""
    if not calls:
        return 0
    known = {
        tuple(args) for args in WaitingJob.objects.filter(job=job.name, args__in=calls).values_list("args", flat=True)
    }
    due_at = timezone.now() + RESEND_AFTER
    waiting = [WaitingJob(job=job.name, args=args, due_at=due_at) for args in calls if tuple(args) not in known]
    WaitingJob.objects.bulk_create(waiting)

    def send() -> None:
        for one in waiting:
            job.apply_async(one.args, task_id=str(one.pk), retry=False)

    transaction.on_commit(send, robust=True)
    return len(waiting)


def enqueue_one_run(job: str, *, is_long: bool) -> bool:
    """Enqueue a run of a job of the clock, as an operator wants it now. Return False if such a run waits or goes on.

    A run that fails is over, after its retries. `is_long` says that it is a NightJob.
    """
    due_at = timezone.now() + (RESEND_LONG_AFTER if is_long else RESEND_AFTER)
    waiting, is_new = WaitingJob.objects.get_or_create(job=job, once=True, defaults={"due_at": due_at})
    if is_new:
        expires = None if is_long else EXPIRES_AFTER
        transaction.on_commit(
            lambda: current_app.send_task(job, task_id=str(waiting.pk), retry=False, expires=expires), robust=True
        )
    return is_new


def wake(job: str) -> None:
    """Run a job that finds its work in the database, soon after the commit.

    The first commit within `WAKE_DELAY` sends the job. It starts after that time and so handles the other commits too:
    at most two runs a second, however busy the site is.
    """
    transaction.on_commit(lambda: _wake_once(job), robust=True)


def _wake_once(job: str) -> None:
    if cache.add(f"woken:{job}", 1, timeout=WAKE_DELAY):
        current_app.send_task(job, retry=False, countdown=WAKE_DELAY + 0.1, expires=EXPIRES_AFTER)
