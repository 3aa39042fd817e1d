"""What operators do to jobs: other times, off and on, a run now, another try, giving up. Each act is recorded."""

from typing import Any
from uuid import UUID

from celery.schedules import crontab
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from oasst.accounts.access import require_operator
from oasst.accounts.models import User
from oasst.core import after_commit, jobs
from oasst.core.audit.recording import record
from oasst.core.errors import Conflict, Invalid, NotFound
from oasst.core.models import JobRecord, WaitingJob
from oasst.core.read_only_admin import duration_in_words
from oasst.core.text.validation import clean_reason
from oasst.site import acts
from oasst.site.operation import times
from oasst.site.operation.descriptions import DESCRIPTIONS, describe, is_known
from oasst.site.operation.reading import DEFAULTS


@transaction.atomic
def change_times(job: str, schedule: crontab, *, actor: User, reason: str) -> bool:
    """Let a job run at other times, the next one by them. Return False if these are its times already.

    Raise NotAllowed `operators_only`, Invalid (`reason`, `too_rare`), NotFound `no_schedule`.
    """
    require_operator(actor)
    reason = clean_reason(reason)
    about = describe(job)
    if about.most_apart and times.longest_gap(schedule, timezone.now()) > about.most_apart:
        longest = duration_in_words(about.most_apart.total_seconds())
        words = _("This job has to run at least every %(longest)s. %(why)s")
        raise Invalid(words % {"longest": longest, "why": about.needed}, code="too_rare", field="pattern")
    task = _locked(job)
    row = CrontabSchedule.from_schedule(schedule)
    if row.pk is not None and task.crontab_id == row.pk:
        return False
    if row.pk is None:
        row.save()
    _store(task, actor, reason, crontab=row, interval=None, solar=None, clocked=None)
    return True


def reset_times(job: str, *, actor: User, reason: str) -> bool:
    """Let a job run at its default times again. Return and raise as `change_times`, and NotFound `no_default`."""
    require_operator(actor)
    entry = DEFAULTS.get(job)
    if entry is None:
        raise NotFound(_("This job has no default times. Choose other ones."), code="no_default")
    return change_times(job, entry.when, actor=actor, reason=reason)


@transaction.atomic
def switch(job: str, *, on: bool, actor: User, reason: str) -> bool:
    """Switch a job on or off. Return False if it is so already.

    Raise NotAllowed `operators_only`, Invalid `reason`, Conflict `job_needed`, NotFound `no_schedule`.
    """
    require_operator(actor)
    reason = clean_reason(reason)
    needed = describe(job).needed
    if needed and not on:
        words = _("This job cannot be switched off. %(why)s You can change when it runs.")
        raise Conflict(words % {"why": needed}, code="job_needed")
    task = _locked(job)
    if task.enabled == on:
        return False
    _store(task, actor, reason, enabled=on)
    return True


def _locked(job: str) -> PeriodicTask:
    rows = PeriodicTask.objects.select_for_update(of=("self",)).select_related("crontab").filter(task=job)
    entry = DEFAULTS.get(job)
    found = [row for row in rows.order_by("pk") if entry is None or row.name == entry.name]
    if not found:
        words = _("The clock does not know this job. Run ./manage.py setup_schedules, then try again.")
        raise NotFound(words, code="no_schedule")
    return found[0]


def _store(task: PeriodicTask, actor: User, reason: str, **changes: Any) -> None:
    was = _facts(task)
    for name, value in changes.items():
        setattr(task, name, value)
    # From now on it may be overdue. Beat runs a row at once that has a start and was never sent.
    task.start_time = timezone.now()
    task.last_run_at = task.last_run_at or task.start_time
    task.save()
    before, after = {"schedule": {task.task: was}}, {"schedule": {task.task: _facts(task)}}
    record(acts.CHANGE_SCHEDULE, JobRecord(pk=task.task), actor=actor, reason=reason, before=before, after=after)


def _facts(task: PeriodicTask) -> dict[str, Any]:
    return {"enabled": task.enabled, "when": str(task.crontab or task.scheduler)}


@transaction.atomic
def run_now(job: str, *, actor: User) -> None:
    """Let a worker run a job of the clock once, soon after the commit.

    Raise NotAllowed `operators_only`, NotFound `unknown_job`, Conflict `run_waits` while such a run waits or goes on.
    """
    require_operator(actor)
    if job not in DEFAULTS:
        words = _("Only jobs of the clock can be run like this. Others belong to what somebody did.")
        raise NotFound(words, code="unknown_job")
    if not after_commit.enqueue_one_run(job, is_long=DESCRIPTIONS[job].is_long):
        words = _("A run of this job waits for a worker or goes on already. Wait for its end.")
        raise Conflict(words, code="run_waits")
    record(acts.RUN_JOB, JobRecord(pk=job), actor=actor)


@transaction.atomic
def try_now(waiting_id: UUID, *, actor: User, reason: str) -> None:
    """Send a waiting job to the queue again, soon after the commit, without waiting for its time.

    Raise NotAllowed `operators_only`, Invalid `reason`, NotFound `job_done`, Conflict (`just_sent`, `unknown_job`).
    """
    require_operator(actor)
    reason = clean_reason(reason)
    row = _waiting(waiting_id)
    if not is_known(row.job):
        raise Conflict(_("This release does not know this job, so nobody can run it."), code="unknown_job")
    now = timezone.now()
    is_long = row.once and describe(row.job).is_long  # sooner, two runs of a night job would go on side by side
    if row.sent_at and row.sent_at > now - (jobs.RESEND_LONG_AFTER if is_long else jobs.RESEND_AFTER):
        if is_long:
            words = _("This job waits for a worker or runs, maybe for hours. If its worker was killed, give it up.")
        else:
            words = _("This job was sent a moment ago: it waits for a worker or runs. Look again in two minutes.")
        raise Conflict(words, code="just_sent")
    row.sent_at, row.due_at = now, max(row.due_at, now + jobs.RESEND_AFTER)
    row.save(update_fields=["sent_at", "due_at"])
    record(acts.RETRY_JOB, row, actor=actor, reason=reason, after=_named(row))
    transaction.on_commit(lambda: jobs.send(row), robust=True)


@transaction.atomic
def give_up(waiting_id: UUID, *, actor: User, reason: str) -> None:
    """Forget a waiting job whose loss does no harm. A run that goes on already comes to its end.

    Raise NotAllowed `operators_only`, Invalid `reason`, NotFound `job_done`, Conflict `job_kept`.
    """
    require_operator(actor)
    reason = clean_reason(reason)
    row = _waiting(waiting_id)
    kept = describe(row.job).kept
    if kept and not row.once:
        raise Conflict(_("This job cannot be given up. %(why)s") % {"why": kept}, code="job_kept")
    record(acts.GIVE_UP_JOB, row, actor=actor, reason=reason, before=_named(row))
    row.delete()


def _waiting(waiting_id: UUID) -> WaitingJob:
    row = WaitingJob.objects.select_for_update().filter(pk=waiting_id).first()
    if row is None:
        raise NotFound(_("This job is done. Nothing is left to do."), code="job_done")
    return row


def _named(row: WaitingJob) -> dict[str, Any]:
    return {"job": row.job, "attempts": row.attempts}
