"""Start, find and stop server processes."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from oasst.core.redaction import escape
from oasst.embedded.directories import Place

_PR_SET_PDEATHSIG = 1
# Loaded before any fork: between fork and exec only the call itself is safe.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(how: signal.Signals) -> Callable[[], None]:
    """For `preexec_fn`: the kernel sends `how` to the child when its parent ends, even by SIGKILL.

    Linux only.
    """
    parent = os.getpid()
    number = int(how)

    def ask_kernel() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
            if os.getppid() != parent:  # it ended before we asked
                os._exit(1)

    return ask_kernel


def spawn(
    place: Place, argv: list[str], *, log: Path, with_parent: signal.Signals | None = None
) -> "subprocess.Popen[bytes]":
    """A server in a session of its own, as the user of this place, writing to `log`.

    The log is for its owner alone: an error of PostgreSQL may quote a value. As root we follow no link there, because
    the directory may belong to somebody else.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.fchmod(descriptor, 0o600)
    with os.fdopen(descriptor, "ab") as output:
        return subprocess.Popen(
            argv,
            cwd=place.data,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
            preexec_fn=die_with_parent(with_parent) if with_parent else None,
            user=place.uid,
            group=place.gid,
            extra_groups=None if place.uid is None else [],
        )


def environment() -> dict[str, str]:
    """Nothing of ours reaches the servers: PGDATA or PGHOST would send them elsewhere, and secrets do not
    belong there.
    """
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def working_in(directory: Path, program: str) -> list[int]:
    """The processes called `program` that work in `directory`, lowest first.

    Both servers change into their data directory. A pid file says less: its number may belong to another
    process by now.
    """
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "comm").read_text().strip() == program and Path(os.readlink(entry / "cwd")) == directory:
                found.append(int(entry.name))
        except OSError:
            continue  # ended meanwhile, or not ours to look at
    return sorted(found)


def send(pids: list[int], how: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            continue


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.05) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, indented for an error message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            text = file.read().decode(errors="replace")
    except OSError:
        return "    (no log)"
    return "\n".join(f"    {escape(line)}" for line in text.splitlines()[-lines:]) or "    (the log is empty)"


def keep_short(log: Path, limit: int = 10_000_000) -> None:
    """One old log is kept; called before a start, when nobody writes."""
    if log.exists() and log.stat().st_size > limit:
        log.replace(log.with_name(f"{log.name}.1"))
