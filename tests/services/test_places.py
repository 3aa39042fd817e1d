"""Directories: private, of the right owner, and apart for each home."""

import os
from pathlib import Path

import pytest

from oasst.services import places
from oasst.services.errors import ServiceError


def test_password_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    first = places.password(tmp_path)
    assert len(first) >= 32
    assert places.password(tmp_path) == first
    assert (tmp_path / "postgres-password").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["postgres-password"]


def test_sockets_are_short_and_follow_the_home(tmp_path: Path) -> None:
    long_home = tmp_path / ("x" * 200)
    assert len(str(places.sockets(long_home) / ".s.PGSQL.5432")) < 108
    assert places.sockets(long_home) == places.sockets(long_home)
    assert places.sockets(long_home) != places.sockets(tmp_path / "another")


def test_emptied_home_never_meets_the_servers_of_the_old_one(tmp_path: Path) -> None:
    before = places.sockets(tmp_path)
    (tmp_path / "postgres-password").unlink()
    assert places.sockets(tmp_path) != before


def test_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    with pytest.raises(ServiceError, match="should belong to uid 12345"):
        places.private_directory(theirs, (12345, 12345))


def test_link_in_place_of_a_private_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ServiceError, match="Remove it"):
        places.private_directory(tmp_path / "link", (os.geteuid(), os.getegid()))


def test_home_that_can_not_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match="can not be used"):
        places.password(tmp_path / "file" / "home")
