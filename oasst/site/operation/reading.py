"""The jobs as operators see them: what each is for, when it runs, how it went, what waits. Three statements in all."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from celery.schedules import crontab
from django.db.models import Count, Max, Min, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_celery_beat.models import PeriodicTask

from oasst.core.models import JobRecord, WaitingJob
from oasst.core.read_only_admin import age
from oasst.site.beat_schedule import SCHEDULES
from oasst.site.health import CLOCK_TIMEOUT, HEARTBEAT_JOB
from oasst.site.operation import times
from oasst.site.operation.descriptions import DESCRIPTIONS, Description, Group, describe
from oasst.site.operation.failures import Failure, is_failing, last_failure

BEAT_SAVES_AFTER = timedelta(minutes=4)
"""Beat writes into the database what it sent, every three minutes."""
DEFAULTS = {entry.job: entry for entry in SCHEDULES}
_NONE_WAITS = {"waiting": 0, "oldest": None, "failed": 0, "asked_at": None}


class Status(StrEnum):
    """The state of a job, the one that needs most attention first."""

    FAILING = "failing"
    OVERDUE = "overdue"
    OFF = "off"
    MISSING = "missing"
    ASKED = "asked"
    NEVER = "never"
    FINE = "fine"
    UNUSED = "unused"


LABELS = {
    Status.FAILING: gettext_lazy("fails"),
    Status.OVERDUE: gettext_lazy("overdue"),
    Status.OFF: gettext_lazy("switched off"),
    Status.MISSING: gettext_lazy("no schedule"),
    Status.ASKED: gettext_lazy("waits or runs"),
    Status.NEVER: gettext_lazy("not run yet"),
    Status.FINE: gettext_lazy("went well"),
    Status.UNUSED: gettext_lazy("not needed yet"),
}
TONES = {
    Status.FAILING: "danger",
    Status.OVERDUE: "danger",
    Status.OFF: "danger",
    Status.MISSING: "danger",
    Status.ASKED: "info",
    Status.NEVER: "info",
    Status.FINE: "success",
    Status.UNUSED: "",
}
_NEED_A_LOOK = (Status.FAILING, Status.OVERDUE, Status.OFF, Status.MISSING)


@dataclass(frozen=True)
class JobState:
    """A job at this moment."""

    about: Description
    task: PeriodicTask | None
    """Its row of the clock."""
    record: JobRecord | None
    """How it went; None before its first run."""
    waiting: int
    """Rows of this job that wait or run."""
    oldest: datetime | None
    failed: int
    """Those of them that failed at least once."""
    asked_at: datetime | None
    """When somebody asked for the run that waits or goes on now."""
    now: datetime

    @property
    def job(self) -> str:
        return self.about.job

    @property
    def ended_at(self) -> datetime | None:
        return self.record.ended_at if self.record else None

    @property
    def is_of_clock(self) -> bool:
        return self.job in DEFAULTS or self.task is not None

    @property
    def schedule(self) -> crontab | None:
        return self.task.crontab.schedule if self.task and self.task.crontab else None

    @property
    def is_off(self) -> bool:
        return self.task is not None and not self.task.enabled

    @property
    def when(self) -> str:
        if self.schedule:
            return times.in_words(self.schedule, self.now)
        return str(self.task.scheduler) if self.task else ""

    @property
    def default_when(self) -> str:
        """Return when it runs if nobody changes that; empty for jobs that the site does not bring."""
        entry = DEFAULTS.get(self.job)
        return times.in_words(entry.when, self.now) if entry else ""

    @property
    def is_at_default(self) -> bool:
        entry = DEFAULTS.get(self.job)
        return entry is not None and times.parts_of(entry.when) == times.parts_of(self.schedule)

    @property
    def next_at(self) -> datetime | None:
        if self.schedule is None or self.is_off:
            return None
        return timezone.localtime(times.next_run(self.schedule, self.now))

    @property
    def next_in(self) -> str:
        """Return how long it takes until the next run."""
        if self.next_at is not None and self.next_at - self.now < timedelta(minutes=1):
            return _("in a moment")
        return age(self.next_at)

    @property
    def is_overdue(self) -> bool:
        if self.schedule is None or self.is_off or self.task is None:
            return False
        began = self.task.start_time  # when its times were changed, or it was switched on
        known = [moment for moment in (began, self.ended_at) if moment]
        return times.is_overdue(self.schedule, max(known, default=self.task.date_changed), self.now)

    @property
    def status(self) -> Status:
        if self.is_off:
            return Status.OFF
        if self.record and is_failing(self.record):
            return Status.FAILING
        if self.is_of_clock and self.task is None:
            return Status.MISSING
        if self.is_overdue:
            return Status.OVERDUE
        if self.asked_at:
            return Status.ASKED
        if self.record is None:
            return Status.NEVER if self.is_of_clock else Status.UNUSED
        return Status.FINE

    @property
    def label(self) -> str:
        return str(LABELS[self.status])

    @property
    def tone(self) -> str:
        return TONES[self.status]

    @property
    def needs_a_look(self) -> bool:
        return self.status in _NEED_A_LOOK

    @property
    def failure(self) -> Failure | None:
        return last_failure(self.record, self.about) if self.record else None

    @property
    def result(self) -> str:
        """Return what the last run returned, such as a number; empty if it returned nothing or failed."""
        if self.record is None or is_failing(self.record) or self.record.result in ("done", "None"):
            return ""
        return self.record.result


def read_jobs() -> list[JobState]:
    """Return all jobs that are known, scheduled, recorded or waiting, in the order of the groups."""
    tasks = _by_job(PeriodicTask.objects.select_related("crontab", "interval", "solar", "clocked").order_by("-pk"))
    return _states(tasks, JobRecord.objects.all(), _waiting(WaitingJob.objects.all()), known=DESCRIPTIONS)


def read_job(job: str) -> JobState | None:
    """Return one job, None if nobody knows it."""
    tasks = PeriodicTask.objects.filter(task=job).select_related("crontab", "interval", "solar", "clocked")
    records, waiting = JobRecord.objects.filter(pk=job), _waiting(WaitingJob.objects.filter(job=job))
    known = {job} & DESCRIPTIONS.keys()
    return next(iter(_states(_by_job(tasks.order_by("-pk")), records, waiting, known)), None)


def _by_job(tasks: Iterable[PeriodicTask]) -> dict[str, PeriodicTask]:
    """Return the row of each job: the one with its default name, else the first."""
    found: dict[str, PeriodicTask] = {}
    for task in tasks:
        default = DEFAULTS.get(task.task)
        if task.task not in found or default is None or found[task.task].name != default.name:
            found[task.task] = task
    return found


def _waiting(rows: Any) -> dict[str, dict[str, Any]]:
    counted = (
        rows.order_by()
        .values("job")
        .annotate(
            waiting=Count("pk"),
            oldest=Min("created_at"),
            failed=Count("pk", filter=Q(attempts__gt=0)),
            asked_at=Max("created_at", filter=Q(once=True)),
        )
    )
    return {row.pop("job"): row for row in counted}


def _states(
    tasks: dict[str, PeriodicTask],
    records: Iterable[JobRecord],
    waiting: dict[str, dict[str, Any]],
    known: Iterable[str],
) -> list[JobState]:
    by_job = {record.job: record for record in records}
    now = timezone.now()
    groups = list(Group)
    states = [
        JobState(describe(job), tasks.get(job), by_job.get(job), now=now, **waiting.get(job, _NONE_WAITS))
        for job in {*known, *tasks, *by_job, *waiting}
    ]
    return sorted(states, key=lambda state: (groups.index(state.about.group), str(state.about.title).casefold()))


@dataclass(frozen=True)
class Part:
    """A service that the site needs."""

    name: str
    is_ok: bool
    words: str


def clock_parts(states: Iterable[JobState]) -> list[Part]:
    """Return whether beat and a worker live, from what they wrote into the database."""
    states = list(states)
    now = timezone.now()
    ended = max((state.record.ended_at for state in states if state.record), default=None)
    beat = next((state.record.ended_at for state in states if state.job == HEARTBEAT_JOB and state.record), None)
    sent = max((state.task.last_run_at for state in states if state.task and state.task.last_run_at), default=None)
    is_beating = _is_recent(beat, CLOCK_TIMEOUT, now)
    works = _is_recent(ended, CLOCK_TIMEOUT, now)
    sends = is_beating or _is_recent(sent, CLOCK_TIMEOUT + BEAT_SAVES_AFTER, now)
    return [
        Part(
            _("Worker"),
            works,
            _("ended its last job in the last minutes") if works else _("No job ended for minutes. Start a worker."),
        ),
        Part(
            _("Beat"),
            sends,
            _("sends the jobs of the clock") if sends else _("Nothing was sent for minutes. Start beat."),
        ),
    ]


def _is_recent(moment: datetime | None, limit: timedelta, now: datetime) -> bool:
    return moment is not None and now - moment <= limit
