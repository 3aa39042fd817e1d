"""Commands bring their servers along and fail in one sentence."""

import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from psycopg import errors

from oasst.core.commands import ServiceCommand
from oasst.core.errors import Conflict
from oasst.services.errors import ServiceError
from tests.services.homes import ROOT, environment, home

__all__ = ["home"]


def manage(path: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(path, **variables),
        capture_output=True,
        text=True,
        timeout=120,
    )


class Refusing(ServiceCommand):
    def handle(self, *args: Any, **options: Any) -> None:
        raise Conflict("Somebody was faster.", code="too_late")


class Unserved(ServiceCommand):
    def handle(self, *args: Any, **options: Any) -> None:
        raise ServiceError("PostgreSQL did not start.")


class KeptWaiting(ServiceCommand):
    def handle(self, *args: Any, **options: Any) -> None:
        raise OperationalError("canceling statement due to lock timeout") from errors.LockNotAvailable()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (Refusing, "Somebody was faster."),
        (Unserved, "did not start"),
        (KeptWaiting, "Somebody else is changing the same thing"),
    ],
)
def test_refusals_become_a_sentence(command: type[ServiceCommand], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command(command())


@pytest.mark.django_db
def test_schedules_are_written_once_and_edits_are_kept() -> None:
    from django_celery_beat.models import CrontabSchedule, PeriodicTask

    call_command("setup_schedules", stdout=StringIO())
    names = set(PeriodicTask.objects.values_list("name", flat=True))
    assert names
    edited = PeriodicTask.objects.get(name=sorted(names)[0])
    edited.enabled = False
    edited.crontab = CrontabSchedule.objects.create(minute="5", hour="5")
    edited.save()
    PeriodicTask.objects.create(name="of an administrator", task="x", crontab=edited.crontab)

    again = StringIO()
    call_command("setup_schedules", stdout=again)
    assert again.getvalue() == ""
    edited.refresh_from_db()
    assert (edited.enabled, edited.crontab.minute) == (False, "5")
    assert set(PeriodicTask.objects.values_list("name", flat=True)) == names | {"of an administrator"}


@pytest.mark.django_db
def test_schedule_that_left_the_table_goes_and_renamed_job_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    from django_celery_beat.models import PeriodicTask

    from oasst.management.commands import setup_schedules

    call_command("setup_schedules", stdout=StringIO())
    kept = PeriodicTask.objects.order_by("name").first()
    assert kept
    job = kept.task
    PeriodicTask.objects.filter(pk=kept.pk).update(task="the.old.name")
    monkeypatch.setattr(
        setup_schedules, "SCHEDULES", [entry for entry in setup_schedules.SCHEDULES if entry.name == kept.name]
    )
    call_command("setup_schedules", stdout=StringIO())
    assert list(PeriodicTask.objects.values_list("name", "task")) == [(kept.name, job)]


def test_every_scheduled_job_exists() -> None:
    from celery import current_app

    from oasst.schedule_table import SCHEDULES

    current_app.loader.import_default_modules()
    assert [entry.job for entry in SCHEDULES if entry.job not in current_app.tasks] == []
    assert len({entry.name for entry in SCHEDULES}) == len(SCHEDULES)


@pytest.mark.slow
def test_command_without_tables_says_what_to_do_and_works_after_migrate(home: Path) -> None:
    """Nobody runs `up` here: each command starts the servers and stops them."""
    early = manage(home, "setup_schedules")
    assert early.returncode == 1
    assert early.stderr.splitlines()[-1].startswith("CommandError: The database has no tables yet: run scripts/up")
    assert manage(home, "migrate", "--verbosity", "0").returncode == 0
    done = manage(home, "setup_schedules")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (home / "services/postgres/postmaster.pid").exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_command_that_is_ended_stops_the_servers_it_started(home: Path, how: signal.Signals) -> None:
    command = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "-c", "print('here', flush=True); import time; time.sleep(600)"],
        cwd=ROOT,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout
    try:
        assert any("here" in line for line in command.stdout)
        command.send_signal(how)
        _, errors = command.communicate(timeout=60)
    finally:
        command.kill()
    assert command.returncode == 128 + how
    assert errors == ""
    assert not (home / "services/postgres/postmaster.pid").exists()


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"PORT": "http"}, "PORT must be a whole number"),
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL must look like"),
        ({"SECRET_KEY_FILE": "/nowhere/key"}, "SECRET_KEY_FILE: can not read"),
    ],
)
def test_unreadable_variable_is_a_sentence(tmp_path: Path, variables: dict[str, str], sentence: str) -> None:
    done = manage(tmp_path, "check", **variables)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
