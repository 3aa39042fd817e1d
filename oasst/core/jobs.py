"""Jobs: how every Celery task of the site behaves, and the marks in the database that outlive the queue.

The queue is Redis and may be emptied at any moment. A job that a commit asks for is therefore a row first, written in
that transaction (`after_commit.enqueue`), and gone when the job is done; the clock sends again what was lost. So a job
may run twice, and at once: each is written so that this does no harm. And each ends: workers are threads, which nobody
can kill, and there are few of them.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
import structlog
from celery import Task, current_app
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from oasst.core import redaction
from oasst.core.models import JobRecord, WaitingJob

log = structlog.get_logger(__name__)

PATIENCE = timedelta(minutes=2)  # a job that has not ended by then may be lost
LONGEST_PAUSE = timedelta(hours=6)
AT_ONCE = 500
ROUND = 60  # seconds
# Twice as long is still less than the time after which the queue hands a job out again (settings, visibility_timeout).
LONGEST = 4 * 60  # seconds
# What lay in the queue for so long is dropped: the clock has sent it again meanwhile. Else a worker that was away for a
# night would find hundreds of each.
STALE: float | None = 10 * 60  # seconds
TOO_MANY = 10  # so many failures in one job: it is not the single items

Item = TypeVar("Item")


class TookTooLong(Exception):
    """A job used up its time."""


class SomeFailed(Exception):
    """A job did what it could, and something of it failed."""


class Job(Task):
    """Tried again with growing pauses; ended when its time is over; each run is written down."""

    longest: float = LONGEST
    expires = STALE
    autoretry_for = (Exception,)
    retry_backoff = 2  # seconds, doubled each time
    retry_backoff_max = 300
    max_retries = 5

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Not Celery's own, which hides the request from `run` and with it the retries.
        with bounded(self.longest):
            return self.run(*args, **kwargs)

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


class NightJob(Job):
    """Reads the whole site once a night, and so may take longer than the queue waits: told to it as taken when it
    begins. One whose worker is killed is lost until the next night.
    """

    longest = 2 * 3600
    expires = None
    acks_late = False


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """In the block no statement lasts longer than this, and none begins later: TookTooLong. What waits for a lock gives
    up long before (settings, lock_timeout).
    """
    end = time.monotonic() + seconds

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if time.monotonic() > end:
            raise TookTooLong(f"It took longer than {seconds:g} seconds.")
        return execute(sql, params, many, context)

    _set_timeout(f"'{round(seconds * 1000)}ms'")
    try:
        with connection.execute_wrapper(watch):
            yield
    finally:
        _set_timeout("DEFAULT")


def _set_timeout(value: str) -> None:
    # A database that does not answer is met again by the job itself, which is then tried again as for any error.
    # By hand: settings are nothing that the ORM knows.
    with suppress(DatabaseError, psycopg.Error), connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = {value}")


def one_by_one(items: Iterable[Item], act: Callable[[Item], object]) -> int:
    """Do `act` for each; returns for how many it gave something true. One that fails does not hold up the others, now
    and at the next run: raises SomeFailed at the end.
    """
    done, failed = 0, dict[Item, Exception]()
    for item in items:
        try:
            done += bool(act(item))
        except TookTooLong:
            raise
        except Exception as error:
            log.exception("job_item_failed", item=str(item))
            failed[item] = error
            if len(failed) == TOO_MANY:
                break
    if failed:
        item, first = next(iter(failed.items()))
        stopped = ", and it stopped there" if len(failed) == TOO_MANY else ""
        raise SomeFailed(f"{len(failed)} failed{stopped}; the first was {item}: {first!r}") from first
    return done


def _write_down(name: str, status: str, seconds: float, result: Any) -> None:
    failed = status != "SUCCESS"
    # The admin shows it to whom the logs are not for.
    error = redaction.clean(f"{type(result).__name__}: {result}")[:1000] if failed else ""
    facts: dict[str, Any] = {
        "ended_at": Now(),
        "seconds": seconds,
        "result": status.lower() if failed else ("" if result is None else str(result)[:200]) or "done",
        "runs": F("runs") + 1,
        "failures": F("failures") + int(failed),
        **({"last_error": error, "failed_at": Now()} if failed else {"succeeded_at": Now()}),
    }
    record = JobRecord.objects.filter(pk=name)
    if not record.update(**facts):
        # Its first run. Another thread may be at the same.
        with transaction.atomic():
            JobRecord.objects.bulk_create([JobRecord(job=name, ended_at=Now(), seconds=0)], ignore_conflicts=True)
            record.update(**facts)


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
        current_app.send_task(settings.MOVED_JOBS.get(row.job, row.job), row.args, task_id=str(row.pk), retry=False)
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
