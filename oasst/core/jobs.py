"""Jobs: how every Celery task of the site behaves, and the marks in the database that outlive the queue.

The queue is Redis and may be emptied at any moment. A job that a commit asks for is therefore a row first, written in
that transaction (`after_commit.enqueue`), and gone when the job is done; the clock sends again what was lost. So a job
may run twice, and at once: each is written so that this does no harm.
"""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import structlog
from celery import Task, current_app
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.utils import timezone
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from oasst.core.models import JobRecord, WaitingJob

log = structlog.get_logger(__name__)

PATIENCE = timedelta(minutes=2)  # a job that has not ended by then may be lost
LONGEST_PAUSE = timedelta(hours=6)
AT_ONCE = 500
ROUND = 60  # seconds


class Job(Task):
    """Tried again with growing pauses; each run is written down."""

    autoretry_for = (Exception,)
    retry_backoff = 2  # seconds, doubled each time
    retry_backoff_max = 300
    max_retries = 5

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        self.request.update(began=time.monotonic())

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        seconds = time.monotonic() - self.request.get("began")
        try:
            _write_down(self.name, status, seconds, retval)
            _settle(task_id, done=status == "SUCCESS", tries=self.request.retries)
        except DatabaseError:
            # Whoever watches loses one line. The row of the job stays, so the job runs once more.
            log.exception("job_not_recorded", job=self.name)


def _write_down(name: str, status: str, seconds: float, result: Any) -> None:
    failed = status != "SUCCESS"
    error = f"{type(result).__name__}: {result}"[:1000] if failed else ""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO core_jobrecord AS record
                (job, ended_at, seconds, result, runs, failures, last_error, failed_at, succeeded_at)
            VALUES (%(name)s, now(), %(seconds)s, %(result)s, 1, %(failed)s::int, %(error)s,
                    CASE WHEN %(failed)s THEN now() END, CASE WHEN NOT %(failed)s THEN now() END)
            ON CONFLICT (job) DO UPDATE SET
                ended_at = excluded.ended_at, seconds = excluded.seconds, result = excluded.result,
                runs = record.runs + 1, failures = record.failures + excluded.failures,
                last_error = CASE WHEN %(failed)s THEN excluded.last_error ELSE record.last_error END,
                failed_at = coalesce(excluded.failed_at, record.failed_at),
                succeeded_at = coalesce(excluded.succeeded_at, record.succeeded_at)
            """,
            {
                "name": name,
                "seconds": seconds,
                "failed": failed,
                "error": error,
                "result": status.lower() if failed else ("" if result is None else str(result)[:200]) or "done",
            },
        )


def _settle(task_id: str, *, done: bool, tries: int) -> None:
    waiting = WaitingJob.objects.filter(pk=task_id)
    if done:
        waiting.delete()
    else:
        pause = min(PATIENCE * 2**tries, LONGEST_PAUSE)
        waiting.update(attempts=F("attempts") + 1, due_at=timezone.now() + pause)


def send_waiting() -> int:
    """Send again what should be done by now; returns how many. Claimed, so that two clocks send each once."""
    now = timezone.now()
    with transaction.atomic():
        due = WaitingJob.objects.select_for_update(skip_locked=True).filter(due_at__lte=now).order_by("due_at")
        rows = list(due[:AT_ONCE])
        WaitingJob.objects.filter(pk__in=[row.pk for row in rows]).update(due_at=now + PATIENCE)
    for row in rows:
        current_app.send_task(row.job, row.args, task_id=str(row.pk), retry=False)
    return len(rows)


def rounds(seconds: float = ROUND) -> Iterator[int]:
    """Counts on until the time is over: what a job has not done by then is left for its next run."""
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        yield number
        number += 1


def job_metrics() -> str:
    """How the jobs went, in the text format of Prometheus. Two statements."""
    registry = CollectorRegistry()
    gauges = {
        name: Gauge(f"oasst_job_{name}", text, ["job"], registry=registry)
        for name, text in (
            ("runs", "Runs that ended, retries included."),
            ("failures", "Runs that failed."),
            ("seconds", "How long the last run took."),
            ("ended_at", "When the last run ended, in Unix seconds."),
            ("succeeded_at", "When the last run that went well ended, in Unix seconds."),
        )
    }
    for record in JobRecord.objects.all():
        for name, gauge in gauges.items():
            value = getattr(record, name)
            if value is not None:
                gauge.labels(job=record.job).set(value.timestamp() if name.endswith("_at") else value)
    waiting = Gauge("oasst_jobs_waiting", "Jobs that a commit asked for and that are not done.", registry=registry)
    waiting.set(WaitingJob.objects.count())
    return generate_latest(registry).decode()
