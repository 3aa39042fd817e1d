"""Start, find and stop processes of servers."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from oasst.core.redaction import escape
from oasst.embedded.directories import ServerDirectories

_PR_SET_PDEATHSIG = 1
# Loaded here because between fork and exec only the call itself is safe.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(how: signal.Signals) -> Callable[[], None]:
    """Return a `preexec_fn`: the kernel sends `how` to the child when its parent ends, even by SIGKILL. Linux only."""
    parent = os.getpid()
    number = int(how)

    def set_death_signal() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
            if os.getppid() != parent:  # it ended before the call
                os._exit(1)

    return set_death_signal


def spawn(
    dirs: ServerDirectories, argv: list[str], *, log: Path, with_parent: signal.Signals | None = None
) -> "subprocess.Popen[bytes]":
    """Start a server in a session of its own, as the user in `dirs`, with its output in `log`.

    Only its owner can read the log, because an error of PostgreSQL may quote a value. Links are not followed: as root
    we may write into a directory of another user.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.fchmod(descriptor, 0o600)
    with os.fdopen(descriptor, "ab") as output:
        return subprocess.Popen(
            argv,
            cwd=dirs.data,
            env=server_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
            preexec_fn=die_with_parent(with_parent) if with_parent else None,
            user=dirs.uid,
            group=dirs.gid,
            extra_groups=None if dirs.uid is None else [],
        )


def server_environment() -> dict[str, str]:
    """Return the environment of the servers, without ours: PGDATA would misdirect them, and secrets would leak."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def find_processes(directory: Path, program: str) -> list[int]:
    """Return the pids of processes called `program` whose working directory is `directory`, in ascending order.

    Both servers change into their data directory. A pid file is less reliable: its pid may belong to another process.
    """
    pids = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "comm").read_text().strip() == program and Path(os.readlink(entry / "cwd")) == directory:
                pids.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile, or we may not read it
    return sorted(pids)


def send(pids: list[int], how: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            continue


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.05) -> bool:
    """Return True once the condition holds, False after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log, indented for an error message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            text = file.read().decode(errors="replace")
    except OSError:
        return "    (no log)"
    return "\n".join(f"    {escape(line)}" for line in text.splitlines()[-lines:]) or "    (the log is empty)"


def rotate_log(log: Path, limit: int = 10_000_000) -> None:
    """Rename a log longer than `limit` bytes to NAME.1. Call it before a start, when no process writes to it."""
    if log.exists() and log.stat().st_size > limit:
        log.replace(log.with_name(f"{log.name}.1"))
