"""The lock that allows one `up` per home; its file holds the address of the site for other commands."""

import fcntl
import os
import time
from pathlib import Path

from oasst.embedded.errors import ServiceError

_NAME = "up.lock"
_WAIT_SECONDS = 0.5
"""Longer than `running_site_url` holds the lock."""


class InstanceLock:
    """The lock that the one `up` of a home holds. The kernel releases it however that process ends.

    address: the URL of the site, for `running_site_url`.
    """

    def __init__(self, home: Path, address: str) -> None:
        self.home, self.address = home, address

    def __enter__(self) -> "InstanceLock":
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self.home / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + _WAIT_SECONDS
        while not _try_lock(self._lock, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                holder = os.read(self._lock, 1000).decode().strip()
                os.close(self._lock)
                raise ServiceError(
                    f"`up` is already running for OASST_HOME={self.home} ({holder}). A site beside it, such as one "
                    "with --demo, needs an OASST_HOME and PORT of its own."
                )
            time.sleep(0.02)
        os.ftruncate(self._lock, 0)
        os.write(self._lock, f"pid {os.getpid()}, {self.address}\n".encode())
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)


def running_site_url(home: Path) -> str:
    """Return the URL of the site that runs for this home; empty if `up` does not run or has only just started."""
    try:
        lock = os.open(home / _NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        if _try_lock(lock, fcntl.LOCK_SH):
            return ""  # nobody holds it: the address in it is an old one
        return os.read(lock, 1000).decode().strip().partition(", ")[2]
    finally:
        os.close(lock)


def _try_lock(lock: int, operation: int) -> bool:
    try:
        fcntl.flock(lock, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
