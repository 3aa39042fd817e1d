"""After an update from the release in which jobs had other names, schedules, records and waiting jobs go on."""

import importlib
from datetime import timedelta

import pytest
from celery import current_app
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask, PeriodicTasks

from oasst.core import jobs
from oasst.core.models import JobRecord, WaitingJob
from oasst.site import health
from oasst.site.beat_schedule import SCHEDULES
from tests.core.test_jobs import Queue

pytestmark = pytest.mark.django_db
moved = importlib.import_module("oasst.site.migrations.0001_moved_jobs")


def test_every_name_is_that_of_a_job() -> None:
    current_app.loader.import_default_modules()
    names = {*moved.MOVED.values(), *settings.MOVED_JOBS.values(), *(entry.job for entry in SCHEDULES)}
    assert names - set(current_app.tasks) == set()
    assert settings.MOVED_JOBS.items() <= moved.MOVED.items()


def test_what_is_stored_follows_there_and_back() -> None:
    old, new = "oasst.schedules.send_waiting_jobs", "oasst.site.schedules.send_waiting_jobs"
    now = timezone.now()
    waiting = WaitingJob.objects.create(job="oasst.purge.go_on_with_purge", args=["1"], due_at=now)
    JobRecord.objects.create(job=old, ended_at=now, seconds=1, result="done", runs=7)
    hourly = CrontabSchedule.objects.create(minute="5")  # an administrator chose that
    entry = next(one for one in SCHEDULES if one.job == new)
    description = next(iter(moved.DESCRIPTIONS))
    row = PeriodicTask.objects.create(name=entry.name, task=old, crontab=hourly, description=description)
    gone = PeriodicTask.objects.create(name="Of old", task="gone", crontab=hourly, description=description)
    PeriodicTasks.objects.update(last_update=now - timedelta(days=1))

    moved.forwards(apps, None)
    waiting.refresh_from_db()
    row.refresh_from_db()
    assert (waiting.job, row.task, row.crontab) == ("oasst.site.purging.go_on_with_purge", new, hourly)
    assert JobRecord.objects.get().job == new == health.HEARTBEAT_JOB and JobRecord.objects.get().runs == 7
    assert PeriodicTasks.objects.get().last_update > now - timedelta(minutes=1), "beat reads its table again"
    call_command("setup_schedules", verbosity=0)
    assert PeriodicTask.objects.get(name=entry.name).crontab == hourly
    assert not PeriodicTask.objects.filter(pk=gone.pk).exists(), "the command knows its own by their description"

    moved.backwards(apps, None)
    row.refresh_from_db()
    assert (row.task, row.description, JobRecord.objects.get().job) == (old, description, old)


def test_a_record_that_a_new_worker_wrote_already_stays() -> None:
    old, new = "trees.notices.mail_author", "trees.moderation.notices.mail_author"
    for job, runs in ((old, 7), (new, 1)):
        JobRecord.objects.create(job=job, ended_at=timezone.now(), seconds=1, result="done", runs=runs)
    moved.forwards(apps, None)
    assert (JobRecord.objects.get().job, JobRecord.objects.get().runs) == (new, 1)


def test_what_a_process_of_that_release_asks_for_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(monkeypatch)
    WaitingJob.objects.create(job="trees.notices.mail_author", args=["1"], due_at=timezone.now())
    assert jobs.send_waiting() == 1
    assert [name for name, _, _ in queue.sent] == ["trees.moderation.notices.mail_author"]
