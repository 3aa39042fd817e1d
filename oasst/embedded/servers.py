"""The embedded servers of one home: the first process that needs them starts them, the last one stops them.

Each process that needs the servers holds a shared lock on `services.users`, which the kernel releases even when the
process is killed. Processes start and stop servers under `services.lock`, one at a time.
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

_LOCK_SECONDS = 180  # longer than the slowest start, during which the lock is held


class EmbeddedServers:
    """A context manager that keeps the servers of `home` running, without those that DATABASE_URL or REDIS_URL replace.

    owner: stop the servers with this process (`./manage.py up`), even if others use them.
    """

    def __init__(self, home: Path, *, owner: bool = False) -> None:
        self.home = home
        self.owner = owner
        self.servers = tuple(
            server for server, variable in ((postgres, "DATABASE_URL"), (redis, "REDIS_URL")) if not env.text(variable)
        )
        self._children: list[subprocess.Popen[bytes]] = []
        self._users: int | None = None

    def has_database(self) -> bool:
        """Return True if there is a database in this home or DATABASE_URL names another one. Creates nothing."""
        return postgres not in self.servers or os.path.exists(self.home / "services" / "postgres")

    def __enter__(self) -> "EmbeddedServers":
        if not self.servers:
            return self
        directories.postgres_password(self.home)  # creates the home, or raises ServiceError if it cannot be used
        with _starting_lock(self.home):
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
            with _starting_lock(self.home):
                self._leave()

    def revive(self) -> list[str]:
        """Start servers that do not answer any more and return their names."""
        if not self.servers:
            return []
        dirs = directories.prepare_directories(self.home)
        if all(server.answers(dirs) for server in self.servers):
            return []
        with _starting_lock(self.home):
            return self._start()

    def _start(self) -> list[str]:
        dirs = directories.prepare_directories(self.home)
        if (former := directories.find_former_owner(dirs)) is not None:
            for server in (postgres, redis):
                server.stop(dirs)
            directories.change_owner(dirs, former)
        started = []
        for server in self.servers:
            if child := server.start(dirs, with_parent=self.owner):
                self._children.append(child)
                started.append(server.__name__.rpartition(".")[2])
        return started

    def _leave(self) -> None:
        if self._users is None:
            return
        try:
            if self.owner or _is_last(self._users):
                dirs = directories.prepare_directories(self.home)
                for server in reversed(self.servers):
                    server.stop(dirs)
        finally:
            os.close(self._users)
            self._users = None
            for child in self._children:
                child.poll()  # removes a stopped server from the process table


def _is_last(users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextmanager
def _starting_lock(home: Path) -> Iterator[None]:
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
