"""Commands that are killed while they freeze or write a snapshot, and two at once: nothing half done is ever seen."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from oasst.core.errors import Conflict
from tests.concurrency.together import at_once, rival_before
from tests.crash.processes import Process, wait_until
from tests.factories import conversation
from trees.interchange.snapshots import freezing
from trees.interchange.snapshots.filters import Filters
from trees.interchange.snapshots.folder import write_folder
from trees.interchange.snapshots.salt import snapshot_pseudonyms
from trees.models import Snapshot, SnapshotTree

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

SALT = "a long secret that nobody can guess"
PATIENCE = 60
TREES = 5


@pytest.fixture(autouse=True)
def _trees(settings: object, tmp_path: Path) -> None:
    settings.SNAPSHOT_SALT = SALT  # type: ignore[attr-defined]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(conversation()) + "\n" for _ in range(TREES)))
    call_command("import_trees", path, "--license", "CC0-1.0", stdout=StringIO())


def command(folder: Path, name: str = "2026.1", variables: dict[str, str] | None = None) -> Process:
    argv = ["manage.py", "snapshot_create", "--skip-checks", "--name", name, "--output", str(folder / "out")]
    return Process(argv, folder / "command.log", variables={"SNAPSHOT_SALT": SALT, **(variables or {})})


def ends(process: Process) -> int:
    """Return the exit status."""
    wait_until(lambda: process.child.poll() is not None, PATIENCE, process.said)
    status: int = process.child.returncode
    return status


@contextmanager
def nobody_may(mode: str) -> Iterator[None]:
    """Lock the table of frozen trees, so that other processes stop there."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE trees_snapshottree IN {mode} MODE")
        yield


def waiting_for_the_table() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE relation = 'trees_snapshottree'::regclass AND NOT granted")
        number: int = cursor.fetchone()[0]
        return number


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class TestKilled:
    def test_while_it_freezes(self, tmp_path: Path) -> None:
        with nobody_may("SHARE"):  # reads pass, and the first insert waits
            process = command(tmp_path)
            wait_until(lambda: waiting_for_the_table() == 1, PATIENCE, process.said)
            process.kill()
        wait_until(lambda: waiting_for_the_table() == 0, PATIENCE, process.said)
        assert not Snapshot.objects.exists() and not SnapshotTree.objects.exists()
        process.start()
        assert ends(process) == 0, process.said()
        assert SnapshotTree.objects.count() == TREES and (tmp_path / "out" / "manifest.json").exists()

    def test_while_it_writes(self, tmp_path: Path) -> None:
        snapshot = freezing.freeze("2026.1", filters=Filters(), pseudonyms=snapshot_pseudonyms())
        with nobody_may("ACCESS EXCLUSIVE"):
            process = command(tmp_path)
            wait_until(lambda: waiting_for_the_table() == 1, PATIENCE, process.said)
            process.kill()
            (left,) = tmp_path.glob(".out.*.partial")
            assert list(left.rglob("*.zst")) and not (tmp_path / "out").exists()
        process.start()
        assert ends(process) == 0, process.said()
        assert not left.exists()
        snapshot.refresh_from_db()
        assert write_folder(snapshot, tmp_path / "out").existed


class TestAtOnce:
    def test_of_two_that_freeze_one_is_refused(self) -> None:
        pseudonyms = snapshot_pseudonyms()

        def freeze() -> Snapshot:
            return freezing.freeze("2026.1", filters=Filters(), pseudonyms=pseudonyms)

        results = at_once([freeze, freeze])
        assert Snapshot.objects.count() == 1 and SnapshotTree.objects.count() == TREES
        refused = [one for one in results if isinstance(one, Exception)]
        assert all(isinstance(one, Conflict) and one.code == "snapshot_busy" for one in refused)

    def test_a_rival_that_commits_in_between(self) -> None:
        """The second one looked before the first one had committed."""
        pseudonyms = snapshot_pseudonyms()

        def freeze() -> Snapshot:
            return freezing.freeze("2026.1", filters=Filters(), pseudonyms=pseudonyms)

        with rival_before(freezing, "consistent_read", freeze), pytest.raises(Conflict) as refused:
            freeze()
        assert refused.value.code == "snapshot_busy"
        assert freeze().pk == Snapshot.objects.get().pk

    def test_two_that_write_the_same_folder(self, tmp_path: Path) -> None:
        snapshot = freezing.freeze("2026.1", filters=Filters(), pseudonyms=snapshot_pseudonyms())
        write = command(tmp_path), command(tmp_path)
        assert [ends(process) for process in write] == [0, 0], write[0].said()
        assert write_folder(snapshot, tmp_path / "second").manifest == json.loads(
            (tmp_path / "out" / "manifest.json").read_bytes()
        )
        assert digests(tmp_path / "out") == digests(tmp_path / "second")
        assert not list(tmp_path.glob(".*.partial"))


class TestOtherProcess:
    def test_another_environment_writes_the_same_bytes(self, tmp_path: Path) -> None:
        snapshot = freezing.freeze("2026.1", filters=Filters(), pseudonyms=snapshot_pseudonyms())
        write_folder(snapshot, tmp_path / "here")
        there = {
            "TZ": "Asia/Tokyo",
            "LC_ALL": "C",
            "PYTHONHASHSEED": "7",
            "PYTHONUTF8": "0",
            "SNAPSHOT_SALT": SALT[::-1],
        }
        assert ends(process := command(tmp_path, variables=there)) == 0, process.said()
        assert digests(tmp_path / "out") == digests(tmp_path / "here")
