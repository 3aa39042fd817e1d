"""The lock of the one `up` of a home, which also tells the commands beside it where the site is."""

import fcntl
import os
import time
from pathlib import Path

from oasst.embedded.errors import ServiceError

_NAME = "up.lock"
_ASKING_SECONDS = 0.5
"""Longer than anybody holds the lock who only asks whether it is held."""


class OnlyOne:
    """Held by the one `up` of a home; the kernel lets go of it however that `up` ends.

    address: where its site is reached, for `address_of_running`.
    """

    def __init__(self, home: Path, address: str) -> None:
        self.home, self.address = home, address

    def __enter__(self) -> "OnlyOne":
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self.home / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + _ASKING_SECONDS
        while not _take(self._lock, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                who = os.read(self._lock, 1000).decode().strip()
                os.close(self._lock)
                raise ServiceError(
                    f"`up` is already running for OASST_HOME={self.home} ({who}). A site beside it, such as one with "
                    "--demo, needs an OASST_HOME and PORT of its own."
                )
            time.sleep(0.02)
        os.ftruncate(self._lock, 0)
        os.write(self._lock, f"pid {os.getpid()}, {self.address}\n".encode())
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)


def address_of_running(home: Path) -> str:
    """Where the site of this home is reached, from the `up` that runs it; empty where none does, or it just begins."""
    try:
        lock = os.open(home / _NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        if _take(lock, fcntl.LOCK_SH):
            return ""  # what stands there is of one that has ended
        return os.read(lock, 1000).decode().strip().partition(", ")[2]
    finally:
        os.close(lock)


def _take(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
