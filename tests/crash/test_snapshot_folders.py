"""Folders that take each other's place while processes are killed and others look: one of them is always there."""

import json
import os
import signal
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from trees.interchange.snapshots import folder as folders
from trees.interchange.snapshots.manifest import MANIFEST, SUMS, manifest_bytes, sums_bytes

STEPS = ("open", "os.mkdir", "os.rename", "os.rmdir", "os.remove", "shutil.rmtree", "test.exchange")
"""What Python reports before it touches the disk: https://docs.python.org/3/library/audit_events.html."""
ROUNDS = 60


@pytest.fixture(params=["one step", "two steps"])
def can_exchange(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> bool:
    """Whether the file system exchanges folders in one step. NFS does not."""
    if request.param == "one step" and not _exchanges_here(tmp_path):
        pytest.skip("this file system does not")
    swap = folders.exchange if request.param == "one step" else lambda first, second: False

    def exchange(first: Path, second: Path) -> bool:
        sys.audit("test.exchange")
        return swap(first, second)

    monkeypatch.setattr(folders, "exchange", exchange)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # slow, and a killed process needs none
    return request.param == "one step"


def _exchanges_here(folder: Path) -> bool:
    places = [folder / one for one in "ab"]
    for place in places:
        place.mkdir()
    done = folders.exchange(*places)
    for place in places:
        place.rmdir()
    return done


def manifest_of(name: str) -> dict[str, Any]:
    data = name.encode() * 1000
    return {"name": name, "files": {"data/a.txt": {"bytes": len(data), "sha256": sha256(data).hexdigest()}}}


def fill(folder: Path, name: str) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "a.txt").write_bytes(name.encode() * 1000)
    (folder / MANIFEST).write_bytes(manifest_bytes(manifest_of(name)))
    (folder / SUMS).write_bytes(sums_bytes(manifest_of(name)))


def put(name: str, target: Path, *, replace: bool = True) -> None:
    """Do what `write_folder` does, without the database."""
    with folders._partial_folder(target) as unfinished:
        fill(unfinished, name)
        folders._put_in_place(unfinished, target, manifest_of(name), replace=replace)


def is_whole(target: Path, name: str) -> bool:
    return folders._is_complete(target, manifest_of(name))


def child(action: Callable[[], None]) -> int:
    """Start a process that does this and ends without any clean-up, and return its id."""
    if (pid := os.fork()) == 0:
        status = 1
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    return pid


def kill_at(step: int) -> None:
    """Kill this process at its nth step from now on."""
    left = step

    def count(event: str, _: Any) -> None:
        nonlocal left
        if event in STEPS:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


class TestKilled:
    def test_at_each_step_the_old_or_the_new_one_is_there(self, can_exchange: bool, tmp_path: Path) -> None:
        target, step, seen = tmp_path / "out", 0, set()
        while True:
            put("old", target)
            pid = child(lambda step=step: (kill_at(step), put("new", target)))  # type: ignore[misc]
            _, status = os.waitpid(pid, 0)
            if not os.WIFSIGNALED(status):
                break
            assert os.WTERMSIG(status) == signal.SIGKILL
            if can_exchange or target.exists():
                seen |= {name for name in ("old", "new") if is_whole(target, name)}
                assert is_whole(target, "old") or is_whole(target, "new"), f"step {step}"
            with folders._partial_folder(target):  # where it takes two steps, the next process undoes the first one
                assert is_whole(target, "old") or is_whole(target, "new"), f"step {step}"
            assert [path.name for path in tmp_path.iterdir()] == ["out"], f"step {step}"
            step += 1
        assert os.waitstatus_to_exitcode(status) == 0 and is_whole(target, "new")
        assert seen == {"old", "new"} and step > 20


class TestAtOnce:
    def test_two_that_replace_each_other_while_a_third_one_looks(self, can_exchange: bool, tmp_path: Path) -> None:
        target, names = tmp_path / "out", ("a", "b")
        put("a", target)

        def again_and_again(name: str) -> None:
            for _ in range(ROUNDS):
                put(name, target)

        pids = [child(lambda name=name: again_and_again(name)) for name in names]  # type: ignore[misc]
        seen, ended = set(), dict[int, int]()
        while len(ended) < len(pids):
            seen.add(self._look(target, must_exist=can_exchange))
            for pid in set(pids) - set(ended):
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    ended[pid] = os.waitstatus_to_exitcode(status)
        assert set(ended.values()) == {0} and seen - {None} == set(names)
        assert any(is_whole(target, name) for name in names)
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def _look(self, target: Path, *, must_exist: bool) -> str | None:
        """Open the folder, and read it as somebody does who holds it open. Return its name."""
        try:
            folder = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            assert not must_exist
            return None
        try:
            name = str(json.loads(self._read(MANIFEST, folder))["name"])
            assert self._read("data/a.txt", folder) == name.encode() * 1000
        except FileNotFoundError:  # replaced meanwhile, and removed
            return None
        finally:
            os.close(folder)
        return name

    def _read(self, path: str, folder: int) -> bytes:
        descriptor = os.open(path, os.O_RDONLY, dir_fd=folder)
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    def test_what_is_no_snapshot_stays_even_if_it_comes_late(self, can_exchange: bool, tmp_path: Path) -> None:
        target = tmp_path / "out"
        with folders._partial_folder(target) as unfinished:
            fill(unfinished, "new")
            target.mkdir()
            (target / "letter.txt").write_text("Dear Ann")
            with pytest.raises(folders.Conflict, match="is no snapshot"):
                folders._put_in_place(unfinished, target, manifest_of("new"), replace=True)
        assert [path.name for path in target.iterdir()] == ["letter.txt"]

    def test_what_belongs_to_a_folder_with_a_longer_name_stays(self, can_exchange: bool, tmp_path: Path) -> None:
        left = {f".out.1.0123456789abcdef{ending}" for ending in (folders.PARTIAL, folders.FORMER)}
        for name in left:
            (tmp_path / name).mkdir()
        put("new", tmp_path / "out")
        assert {path.name for path in tmp_path.iterdir()} == {"out", *left}

    def test_a_folder_that_somebody_else_keeps_locked(
        self, can_exchange: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(folders, "PATIENCE", 0)
        with folders._alone_in(tmp_path), pytest.raises(folders.Conflict, match="Another process has locked"):
            put("new", tmp_path / "out")
        assert not list(tmp_path.iterdir())
        put("new", tmp_path / "out")

    def test_only_one_of_two_without_replace(self, can_exchange: bool, tmp_path: Path) -> None:
        target = tmp_path / "out"
        with folders._partial_folder(target) as unfinished:
            fill(unfinished, "second")
            put("first", target, replace=False)
            with pytest.raises(folders.Conflict, match="has another content"):
                folders._put_in_place(unfinished, target, manifest_of("second"), replace=False)
        assert is_whole(target, "first")
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
