"""Handing work to the queue once the transaction is committed."""

from typing import Any

from celery import Task, current_app
from django.db import transaction


def enqueue(job: "Task[Any, Any]", *args: Any) -> None:
    """Run `job` soon after the open transaction commits; not at all if it rolls back.

    A queue that does not answer is logged and costs nobody their answer: what was acknowledged is stored, and the
    clock looks for work that was left behind.
    """
    transaction.on_commit(lambda: job.apply_async(args, retry=False), robust=True)


def wake(job: str) -> None:
    """Run the job of this name soon after the commit. For jobs that find their work in the database by themselves."""
    transaction.on_commit(lambda: current_app.send_task(job, retry=False), robust=True)
