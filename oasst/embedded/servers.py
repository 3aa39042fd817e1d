"""The embedded servers of one home as a whole: who uses them, who starts them, who turns the light off.

Everybody who needs the servers holds a shared lock on `services.users` as long as it runs; the kernel lets
go of it even when the process is killed. Starting and stopping happen under `services.lock`, so rivals wait
for each other, and the last user to leave stops what runs.
"""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from oasst import env
from oasst.embedded import directories, postgres, redis
from oasst.embedded.errors import ServiceError

_LOCK_SECONDS = 180  # longer than the slowest start, which its holder may be doing


class Embedded:
    """The servers of `home` that no DATABASE_URL or REDIS_URL replaces, in use from `with` to its end.

    owner: the servers end with this process (`./manage.py up`), whoever else uses them.
    """

    def __init__(self, home: Path, *, owner: bool = False) -> None:
        self.home = home
        self.owner = owner
        self.servers = tuple(
            server for server, variable in ((postgres, "DATABASE_URL"), (redis, "REDIS_URL")) if not env.text(variable)
        )
        self._children: list[subprocess.Popen[bytes]] = []
        self._users: int | None = None

    def is_used(self) -> bool:
        """Whether there is a database here, or DATABASE_URL names one elsewhere. Makes nothing."""
        return postgres not in self.servers or os.path.exists(self.home / "services" / "postgres")

    def __enter__(self) -> "Embedded":
        if not self.servers:
            return self
        directories.password(self.home)  # makes the home, or says in one sentence why it can not be used
        with _starting(self.home):
            self._users = _open(self.home / "services.users")
            fcntl.flock(self._users, fcntl.LOCK_SH)
            try:
                self._start()
            except BaseException:
                self._leave()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._users is not None:
            with _starting(self.home):
                self._leave()

    def revive(self) -> list[str]:
        """Start what does not answer any more; the names of what was started."""
        if not self.servers:
            return []
        place = directories.prepare(self.home)
        if all(server.answers(place) for server in self.servers):
            return []
        with _starting(self.home):
            return self._start()

    def _start(self) -> list[str]:
        place = directories.prepare(self.home)
        if (former := directories.former_owner(place)) is not None:
            for server in (postgres, redis):
                server.stop(place)
            directories.take_over(place, former)
        started = []
        for server in self.servers:
            if child := server.start(place, with_parent=self.owner):
                self._children.append(child)
                started.append(server.__name__.rpartition(".")[2])
        return started

    def _leave(self) -> None:
        if self._users is None:
            return
        try:
            if self.owner or _is_last(self._users):
                place = directories.prepare(self.home)
                for server in reversed(self.servers):
                    server.stop(place)
        finally:
            os.close(self._users)
            self._users = None
            for child in self._children:
                child.poll()  # lets a stopped one go from the process table


def _is_last(users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextmanager
def _starting(home: Path) -> Iterator[None]:
    lock = _open(home / "services.lock")
    deadline = time.monotonic() + _LOCK_SECONDS
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ServiceError(
                        f"Another command has been starting or stopping the servers of {home} "
                        f"for {_LOCK_SECONDS} seconds."
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(lock)
