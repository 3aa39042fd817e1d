"""Commands start the servers they need and fail with one sentence."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import venv
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from psycopg import errors
from pytest_django import Settings

from oasst.core.errors import Conflict
from oasst.embedded.commands import ServiceCommand, use_running_site_url
from oasst.embedded.errors import ServiceError
from oasst.embedded.instance_lock import InstanceLock, running_site_url
from oasst.embedded.servers import EmbeddedServers
from tests.embedded.homes import ROOT, environment, home

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

    from oasst.site.management.commands import setup_schedules

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

    from oasst.site.beat_schedule import SCHEDULES

    current_app.loader.import_default_modules()
    assert [entry.job for entry in SCHEDULES if entry.job not in current_app.tasks] == []
    assert len({entry.name for entry in SCHEDULES}) == len(SCHEDULES)


@pytest.mark.slow
def test_command_without_tables_says_what_to_do_and_works_after_migrate(home: Path) -> None:
    """Without `up`: each command starts the servers and stops them."""
    with EmbeddedServers(home):
        early = manage(home, "setup_schedules")
    assert early.returncode == 1
    said = f"CommandError: The database of {home} has no tables yet: run scripts/up"
    assert early.stderr.splitlines()[-1].startswith(said)
    assert manage(home, "migrate", "--verbosity", "0").returncode == 0
    done = manage(home, "setup_schedules")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (home / "services/postgres/postmaster.pid").exists()


@pytest.mark.parametrize("command", [("sign_in_link", "ada@example.org"), ("shell", "-c", "pass"), ("pg", "psql")])
def test_no_command_but_a_beginning_makes_a_database_where_none_was(home: Path, command: tuple[str, ...]) -> None:
    """A second terminal without OASST_HOME: without an error, commands would work on another site."""
    done = manage(home, *command)
    assert done.returncode == 1
    assert f"No site in {home} yet. If yours is kept elsewhere, set OASST_HOME" in done.stderr.splitlines()[-1]
    assert not (home / "services").exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_command_that_is_ended_stops_the_servers_it_started(home: Path, how: signal.Signals) -> None:
    with EmbeddedServers(home):
        pass
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
        ({"SECRET_KEY_FILE": "/nowhere/key"}, "SECRET_KEY_FILE: cannot read"),
    ],
)
def test_unreadable_variable_is_a_sentence(tmp_path: Path, variables: dict[str, str], sentence: str) -> None:
    done = manage(tmp_path, "check", **variables)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_links_lead_to_the_site_that_runs_whatever_this_shell_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    def told() -> str:
        with use_running_site_url():
            return str(settings.PUBLIC_URL)

    for name in ("PORT", "PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    usual, settings.OASST_HOME = settings.PUBLIC_URL, tmp_path
    with InstanceLock(tmp_path, "http://localhost:8431"):
        assert told() == "http://localhost:8431"
        assert usual == settings.PUBLIC_URL, "only while the command runs"
        with pytest.raises(ServiceError, match=r"already running .*localhost:8431.*OASST_HOME and PORT of its own"):
            InstanceLock(tmp_path, "http://localhost:1").__enter__()
        for name in ("PORT", "PUBLIC_URL"):
            with monkeypatch.context() as shell:
                shell.setenv(name, "8000")
                assert told() == usual, "who says where it is knows better"
    assert (tmp_path / "up.lock").read_text() and told() == usual, "nobody holds it any more"


def test_asking_for_the_address_keeps_nobody_from_starting(tmp_path: Path) -> None:
    """A command tries the lock at the very moment when `up` wants it."""
    with InstanceLock(tmp_path, "http://localhost:1"):
        pass
    asking = os.open(tmp_path / "up.lock", os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    timer = threading.Timer(0.1, os.close, [asking])
    timer.start()
    with InstanceLock(tmp_path, "http://localhost:2"):
        assert running_site_url(tmp_path) == "http://localhost:2"
    timer.join()


class TestTheCommandLine:
    """`./manage.py` as all texts write it, in a clone whose packages are in .venv."""

    def run(self, root: Path) -> "subprocess.CompletedProcess[str]":
        """By a Python without Django."""
        return subprocess.run(
            [sys.executable, "-S", root / "manage.py", "sign_in_link", "ada@example.org"],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
        )

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        shutil.copy(ROOT / "manage.py", tmp_path)
        return tmp_path

    def test_it_can_be_typed(self) -> None:
        assert os.access(ROOT / "manage.py", os.X_OK)
        assert (ROOT / "manage.py").read_text().startswith("#!/usr/bin/env python3\n"), "`python` is not everywhere"

    def test_the_python_of_the_packages_takes_over(self, root: Path) -> None:
        python = root / ".venv/bin/python"
        python.parent.mkdir(parents=True)
        python.write_text('#!/bin/sh\necho "$@"\n')
        python.chmod(0o755)
        assert self.run(root).stdout == f"{root}/manage.py sign_in_link ada@example.org\n"

    def test_without_packages_it_says_what_installs_them(self, root: Path) -> None:
        for make in (lambda: None, lambda: venv.create(root / ".venv", symlinks=True)):
            make()
            done = self.run(root)
            assert done.returncode == 1 and done.stderr.splitlines() == [
                "Django is not installed here. scripts/up installs all packages into .venv, and starts the site."
            ]


def test_commands_are_written_as_they_can_be_typed() -> None:
    """`./manage.py` in all texts: it works in any shell at the top of the clone."""
    listed = subprocess.check_output(["git", "ls-files", "*.md", "*.html", "*.py"], cwd=ROOT, text=True).split()
    for name in listed:
        if name.startswith("tests/") or name in ("CHANGELOG.md", "manage.py"):
            continue
        for line in (ROOT / name).read_text().splitlines():
            written = re.sub(r'^"""manage\.py |"manage\.py"', "", line)
            assert not re.search(r"(?<!\./)manage\.py \w|\.venv/bin/python \S*manage", written), (name, line)
