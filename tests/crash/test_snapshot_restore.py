"""A real dump, restored into another database: a name gives the same bytes there, whatever happened here since."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from oasst.accounts.models import User
from oasst.embedded import programs
from oasst.site.management.commands.pg import libpq_environment
from tests.crash.processes import Process, wait_until
from tests.crash.test_snapshots import PATIENCE, SALT, digests
from tests.factories import conversation, new_person
from tests.paths import SAMPLE
from tests.trees.interchange.test_snapshots import (
    answers_of,
    bring,
    bring_file,
    create,
    edit,
    finished_tree,
    purge,
    withdraw,
)
from trees.interchange.snapshots.filters import whole_milliseconds

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def other_database() -> Iterator[str]:
    name = f"restored_{uuid4().hex}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    yield name
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run_postgres(program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL as `manage.py pg` does."""
    command = [programs.client_directory() / program, *arguments]
    done = subprocess.run(command, env=libpq_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


CREATE_ALL = """
import json, sys, django
django.setup()
from django.core.management import call_command
for words in json.loads(sys.argv[1]):
    call_command("snapshot_create", *words)
"""


def create_there(database: str, folder: Path, *commands: Sequence[str]) -> None:
    """Run snapshot_create with each of these options in one other process, on that database."""
    variables = {"OASST_CRASH_DATABASE": database, "SNAPSHOT_SALT": SALT}
    process = Process(["-c", CREATE_ALL, json.dumps(commands)], folder / "there.log", variables=variables)
    try:
        wait_until(lambda: process.child.poll() is not None, PATIENCE, process.said)
        assert process.child.returncode == 0, process.said()
    finally:
        process.kill()


class TestRestored:
    def test_what_was_frozen_before_and_what_is_frozen_there(
        self, settings: object, mo: User, other_database: str, tmp_path: Path
    ) -> None:
        settings.SNAPSHOT_SALT = SALT  # type: ignore[attr-defined]
        first_answer, second_answer, third_answer = answers_of(finished_tree(new_person("Ann")))
        bring_file(SAMPLE)
        create("2026.1", tmp_path / "1")
        withdraw(first_answer)
        then = ("--include-synthetic", "--cutoff", whole_milliseconds(timezone.now()).isoformat())
        run_postgres("pg_dump", "--format=custom", f"--file={tmp_path / 'oasst.dump'}")
        options = ("--clean", "--if-exists", "--no-owner", "--no-comments", f"--dbname={other_database}")
        run_postgres("pg_restore", *options, str(tmp_path / "oasst.dump"))
        create("2026.2", tmp_path / "2", *then)
        edit(second_answer, mo)
        assert third_answer.author is not None
        purge(third_answer.author, mo)
        bring(tmp_path / "more.jsonl", conversation(), license="CC0-1.0")

        first, second = ("--name", "2026.1"), ("--name", "2026.2", *then)
        there = [("--output", str(tmp_path / f"{number} there")) for number in "12"]
        create_there(other_database, tmp_path, (*first, *there[0]), (*second, *there[1]))
        for number, options in (("1", first), ("2", second)):
            call_command("snapshot_create", *options, "--output", tmp_path / f"{number} here", stdout=StringIO())
            found = [digests(tmp_path / place) for place in (number, f"{number} here", f"{number} there")]
            assert found[0] == found[1] == found[2] and len(found[0]) > 50
        assert (tmp_path / "2" / "withdrawn.jsonl").stat().st_size > 0
