"""Directories: private, with the right owner, and separate for each home."""

import os
import pwd
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oasst.embedded import directories, redis
from oasst.embedded.errors import ServiceError


def test_password_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    first = directories.postgres_password(tmp_path)
    assert len(first) >= 32
    assert directories.postgres_password(tmp_path) == first
    assert (tmp_path / "postgres-password").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["postgres-password"]


def test_sockets_are_short_and_follow_the_home(tmp_path: Path) -> None:
    long_home = tmp_path / ("x" * 200)
    assert len(str(directories.socket_directory(long_home) / ".s.PGSQL.5432")) < 108
    assert directories.socket_directory(long_home) == directories.socket_directory(long_home)
    assert directories.socket_directory(long_home) != directories.socket_directory(tmp_path / "another")


def test_emptied_home_never_meets_the_servers_of_the_old_one(tmp_path: Path) -> None:
    before = directories.socket_directory(tmp_path)
    (tmp_path / "postgres-password").unlink()
    assert directories.socket_directory(tmp_path) != before


def test_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    with pytest.raises(ServiceError, match="should belong to uid 12345"):
        directories.make_private_directory(theirs, (12345, 12345))


def test_link_in_place_of_a_private_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ServiceError, match="Remove it"):
        directories.make_private_directory(tmp_path / "link", (os.geteuid(), os.getegid()))


def test_home_that_can_not_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match="cannot be used"):
        directories.postgres_password(tmp_path / "file" / "home")


def test_redis_has_a_password_of_its_own_also_in_an_older_home(tmp_path: Path) -> None:
    of_postgres = directories.postgres_password(tmp_path)
    of_redis = directories.redis_password(tmp_path)
    assert len(of_redis) >= 32 and of_redis != of_postgres
    assert directories.redis_password(tmp_path) == of_redis
    assert (tmp_path / "redis-password").stat().st_mode & 0o777 == 0o600
    assert of_redis in redis.url(tmp_path)


def test_a_file_for_the_servers_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "redis.conf").symlink_to(tmp_path / "elsewhere")
    dirs = directories.ServerDirectories(tmp_path, tmp_path, tmp_path, None, None)
    directories.write_private_file(dirs, tmp_path / "redis.conf", "secret")
    assert (tmp_path / "elsewhere").read_text() == "precious"
    assert (tmp_path / "redis.conf").read_text() == "secret"
    assert (tmp_path / "redis.conf").stat().st_mode & 0o777 == 0o600


class TestSystemUser:
    """The user who runs the servers that root starts. The accounts here are those of a file."""

    @pytest.fixture(autouse=True)
    def accounts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        accounts = tmp_path / "accounts"
        accounts.touch()

        def getpwnam(name: str) -> Any:
            for line in accounts.read_text().splitlines():
                known, uid = line.split(":")
                if known == name:
                    return SimpleNamespace(pw_uid=int(uid), pw_gid=int(uid))
            raise KeyError(name)

        monkeypatch.setattr(pwd, "getpwnam", getpwnam)
        monkeypatch.setattr(directories, "ROOT_DATA", tmp_path / "data")
        monkeypatch.setattr(directories, "_ADMIN_PROGRAMS", "")
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        return accounts

    @pytest.fixture
    def useradd(self, tmp_path: Path) -> Callable[[str], Path]:
        """useradd(lines of sh) puts such a program into the path; the file that it returns has a line for each call."""

        def install(does: str) -> Path:
            program, calls = tmp_path / "bin" / "useradd", tmp_path / "calls"
            program.parent.mkdir()
            program.write_text(f'#!/bin/sh\necho "$@" >>{calls}\n{does}\n')
            program.chmod(0o755)
            return calls

        return install

    def test_one_that_is_there_is_taken(self, accounts: Path) -> None:
        accounts.write_text("oasst:321\n")
        assert directories._system_user() == (321, 321)

    def test_it_is_made_once_by_two_first_starts(self, accounts: Path, useradd: Callable[[str], Path]) -> None:
        calls = useradd(f"echo oasst:321 >>{accounts}")
        found: list[tuple[int, int]] = []
        starts = [threading.Thread(target=lambda: found.append(directories._system_user())) for _ in range(4)]
        for start in starts:
            start.start()
        for start in starts:
            start.join()
        assert found == [(321, 321)] * 4
        (call,) = calls.read_text().splitlines()
        assert call.startswith("--system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin --")
        assert call.endswith(" oasst")

    def test_without_useradd_the_start_says_what_to_do(self, accounts: Path) -> None:
        """`nobody`, which other services use too, is no alternative."""
        accounts.write_text("nobody:65534\n")
        with pytest.raises(ServiceError, match=r"no program useradd.*`useradd --system oasst`.*ordinary user"):
            directories._system_user()

    def test_what_useradd_says_is_shown(self, useradd: Callable[[str], Path]) -> None:
        useradd("echo useradd: cannot lock /etc/passwd >&2; exit 1")
        with pytest.raises(ServiceError, match="cannot lock /etc/passwd"):
            directories._system_user()

    def test_root_by_another_name_is_refused(self, accounts: Path) -> None:
        accounts.write_text("oasst:0\n")
        with pytest.raises(ServiceError, match="cannot run as root"):
            directories._system_user()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
class TestTakingOver:
    FORMER, OWNER = 12345, (23456, 23456)

    @pytest.fixture
    def dirs(self, tmp_path: Path) -> directories.ServerDirectories:
        """Data of another user, as earlier versions made them, behind the link that root makes."""
        data, where = tmp_path / "data", tmp_path / "sockets"
        (data / "postgres" / "base").mkdir(parents=True)
        (data / "postgres" / "base" / "1").touch()
        (data / "redis").mkdir()
        where.mkdir()
        (where / ".s.PGSQL.5432.lock").touch()
        for folder, folders, files in os.walk(tmp_path):
            for name in (*folders, *files):
                os.chown(Path(folder, name), self.FORMER, self.FORMER)
        home = tmp_path / "home"
        home.mkdir()
        (home / "services").symlink_to(data)
        return directories.ServerDirectories(home, data, where, *self.OWNER)

    def test_everything_changes_hands(self, dirs: directories.ServerDirectories) -> None:
        assert directories.find_former_owner(dirs) == self.FORMER
        directories.change_owner(dirs, self.FORMER)
        assert directories.find_former_owner(dirs) is None
        found = [*(dirs.data / "postgres").rglob("*"), dirs.data / "redis", *dirs.sockets.rglob("*"), dirs.sockets]
        assert {path.stat().st_uid for path in found} == {self.OWNER[0]}

    def test_links_and_files_of_others_stay_whose_they_are(
        self, dirs: directories.ServerDirectories, tmp_path: Path
    ) -> None:
        precious = tmp_path / "precious"
        precious.touch()
        (dirs.data / "postgres" / "link").symlink_to(precious)
        (dirs.data / "postgres" / "of root").touch()
        directories.change_owner(dirs, self.FORMER)
        assert precious.stat().st_uid == 0
        assert (dirs.data / "postgres" / "of root").stat().st_uid == 0
