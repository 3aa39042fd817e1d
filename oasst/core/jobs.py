"""How every Celery job of the site behaves, and the rows in the database that outlive the queue.

The queue is Redis and may be emptied at any moment. So a commit first stores its job as a row (`after_commit.enqueue`),
which is deleted when the job is done, and the clock sends lost jobs again. A job may therefore run twice, even
concurrently, and must tolerate that. It must also end: workers are few, and threads, which cannot be killed.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import count, takewhile
from typing import Any, TypeVar

import psycopg
import structlog
from celery import Task, current_app
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import F, Model
from django.db.models.functions import Coalesce, Now
from django.utils import timezone
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from oasst.core import redaction
from oasst.core.models import JobRecord, WaitingJob

log = structlog.get_logger(__name__)

RESEND_AFTER = timedelta(minutes=2)  # a job that is not done by then may be lost
MAX_RESEND_DELAY = timedelta(hours=6)
BATCH_SIZE = 500
ROUND_SECONDS = 60
# Twice this is still less than the time after which the queue redelivers a job (settings, visibility_timeout).
MAX_SECONDS = 4 * 60
MAX_NIGHT_SECONDS = 2 * 3600
# An operator's run of a nightly job; sooner it may still be running. Its last statement may begin at its end.
RESEND_LONG_AFTER = timedelta(seconds=2 * MAX_NIGHT_SECONDS)
# The queue drops older jobs, which the clock sends again: else a worker that was down overnight finds hundreds of each.
EXPIRES_AFTER: float | None = 10 * 60  # seconds
MAX_FAILURES = 10  # failures in one job, after which the items are not to blame

Item = TypeVar("Item")


class JobTimeout(Exception):
    """A job exceeded its time limit."""


class PartialFailure(Exception):
    """Some items of a job failed; the others are done."""


class Job(Task):
    """A Celery task with retries, a time limit and a `JobRecord` of its runs."""

    max_seconds: float = MAX_SECONDS
    expires = EXPIRES_AFTER
    autoretry_for = (Exception,)
    retry_backoff = 2  # seconds, doubled each time
    retry_backoff_max = 300
    max_retries = 5

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Not super().__call__, which hides the request from `run` and so breaks retries.
        with time_limit(self.max_seconds):
            return self.run(*args, **kwargs)

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        self.request.update(started=time.monotonic())

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        seconds = time.monotonic() - self.request.get("started")
        try:
            _record_run(self.name, status, seconds, retval)
            _update_waiting(task_id, status, retries=self.request.retries)
        except DatabaseError:
            # The WaitingJob stays, so the job runs once more; only the record of this run is lost.
            log.exception("job_not_recorded", job=self.name)


class NightJob(Job):
    """A nightly job over the whole site, which may take longer than the queue waits for an acknowledgment.

    It is acknowledged when it starts, so if its worker is killed it is lost until the next night.
    """

    max_seconds = MAX_NIGHT_SECONDS
    expires = None
    acks_late = False


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Let no SQL statement in the block take longer than `seconds`, and raise JobTimeout if one starts later.

    A statement that waits for a lock gives up long before (settings, lock_timeout).
    """
    end = time.monotonic() + seconds

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if time.monotonic() > end:
            raise JobTimeout(f"It took longer than {seconds:g} seconds.")
        return execute(sql, params, many, context)

    _set_timeout(f"'{round(seconds * 1000)}ms'")
    try:
        with connection.execute_wrapper(watch):
            yield
    finally:
        _set_timeout("DEFAULT")


def _set_timeout(value: str) -> None:
    # If the database is unreachable, the job fails on its own and is retried.
    with suppress(DatabaseError, psycopg.Error), connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = {value}")


def run_for_each(items: Iterable[Item], act: Callable[[Item], object]) -> int:
    """Call `act` for each item and return how many results were true.

    An item that fails does not stop the others, in this run or the next: PartialFailure is raised at the end.
    """
    done, failed = 0, dict[Item, Exception]()
    for item in items:
        try:
            done += bool(act(item))
        except JobTimeout:
            raise
        except Exception as error:
            log.exception("job_item_failed", item=str(item))
            failed[item] = error
            if len(failed) == MAX_FAILURES:
                break
    if failed:
        (item, first), *others = failed.items()
        stopped = ", and it stopped there" if len(failed) == MAX_FAILURES else ""
        rest = f"; also {', '.join(_name(other) for other, _ in others)}" if others else ""
        raise PartialFailure(
            f"{len(failed)} failed{stopped}; the first was {_name(item)}: {error_in_words(first)}{rest}"
        ) from first
    return done


def _name(item: object) -> str:
    """Return an item without its text, which may be somebody's."""
    return f"{item._meta.label_lower} {item.pk}" if isinstance(item, Model) else str(item)


def error_in_words(error: object) -> str:
    """Return the type and message of an exception. Of a database error only the first line: the others have values of
    rows, such as people's texts.
    """
    message = str(error)
    if isinstance(error, DatabaseError | psycopg.Error):
        message = message.partition("\n")[0]
    return f"{type(error).__name__}: {message}"


def _record_run(name: str, status: str, seconds: float, result: Any) -> None:
    failed = status != "SUCCESS"
    # The admin also shows it to people who may not read the logs.
    error = redaction.clean_line(error_in_words(result))[:1000] if failed else ""
    values: dict[str, Any] = {
        "ended_at": Now(),
        "seconds": seconds,
        "result": status.lower() if failed else ("" if result is None else str(result)[:200]) or "done",
        "runs": F("runs") + 1,
        "failures": F("failures") + int(failed),
    }
    if failed:
        values |= {"last_error": error, "failed_at": Now(), "failures_in_row": F("failures_in_row") + 1}
        values |= {"failing_since": Coalesce(F("failing_since"), Now())}
    else:
        values |= {"succeeded_at": Now(), "failures_in_row": 0, "failing_since": None}
    record = JobRecord.objects.filter(pk=name)
    if not record.update(**values):  # its first run, perhaps in two threads at once
        with transaction.atomic():
            JobRecord.objects.bulk_create([JobRecord(job=name, ended_at=Now(), seconds=0)], ignore_conflicts=True)
            record.update(**values)


def _update_waiting(task_id: str, status: str, *, retries: int) -> None:
    waiting = WaitingJob.objects.filter(pk=task_id)
    if status == "SUCCESS":
        waiting.delete()
        return
    if status != "RETRY" and waiting.filter(once=True).delete()[0]:
        return
    pause = min(RESEND_AFTER * 2**retries, MAX_RESEND_DELAY)
    waiting.update(attempts=F("attempts") + 1, due_at=timezone.now() + pause, sent_at=None)


def send_waiting() -> int:
    """Send overdue jobs again and return how many. Each is claimed, so that two clocks send it only once."""
    now = timezone.now()
    with transaction.atomic():
        due = WaitingJob.objects.select_for_update(skip_locked=True).filter(due_at__lte=now).order_by("due_at")
        rows = list(due[:BATCH_SIZE])
        WaitingJob.objects.filter(pk__in=[row.pk for row in rows]).update(due_at=now + RESEND_AFTER, sent_at=now)
        long = [row.pk for row in rows if row.once and isinstance(current_app.tasks.get(row.job), NightJob)]
        WaitingJob.objects.filter(pk__in=long).update(due_at=now + RESEND_LONG_AFTER)
    for row in rows:
        send(row)
    return len(rows)


def send(row: WaitingJob) -> None:
    """Put a waiting job into the queue."""
    current_app.send_task(settings.MOVED_JOBS.get(row.job, row.job), row.args, task_id=str(row.pk), retry=False)


def timed_rounds(seconds: float = ROUND_SECONDS) -> Iterator[int]:
    """Yield 0, 1, 2 ... until the time is over. A job leaves the rest of its work for its next run."""
    end = time.monotonic() + seconds
    return takewhile(lambda _: time.monotonic() < end, count())


def job_metrics() -> str:
    """Return metrics of all jobs in the text format of Prometheus, with two SQL statements."""
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
