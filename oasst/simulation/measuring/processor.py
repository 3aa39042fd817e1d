"""CPU seconds of each part of a site that runs on this machine. Linux only.

Unlike wall time, they hardly depend on how busy a shared machine is.
"""

import os
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.db import connection

_TICKS = os.sysconf("SC_CLK_TCK")


class Processor:
    """Finds the processes once: those of `./manage.py up` for this home, its servers, and this process."""

    def __init__(self) -> None:
        self._parts = {"client": [os.getpid()], "redis": _redis(), **_children_of_up()}

    def seconds(self) -> dict[str, float]:
        """Return part → CPU seconds until now, including those of ended children."""
        parts = {**self._parts, "postgres": _postgres()}
        return {name: sum(map(_used, pids)) for name, pids in parts.items()}

    def of_each_web_process(self) -> list[float]:
        """Return the CPU seconds until now of each web process, ordered by process id."""
        return [_used(pid) for pid in sorted(self._parts.get("web", []))]


class Stolen:
    """The share of CPU time that the hypervisor gave to other machines ("steal"), since this object was made."""

    def __init__(self) -> None:
        self._before = _times()

    def __str__(self) -> str:
        used, stolen = (now - before for now, before in zip(_times(), self._before, strict=True))
        return f"{stolen / max(1, used + stolen):.0%} stolen by other machines"


def _times() -> tuple[int, int]:
    """Return the used and the stolen ticks of all cores. See proc_stat(5)."""
    user, nice, system, _, _, irq, softirq, steal, *_ = map(int, Path("/proc/stat").read_text().split()[1:11])
    return user + nice + system + irq + softirq, steal


def _children_of_up() -> dict[str, list[int]]:
    pids: dict[str, list[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = dict(line.partition("=")[::2] for line in (process / "environ").read_text().split("\0"))
        except OSError:  # ended meanwhile, or of another system user
            continue
        name = environment.get("OASST_PROCESS", "").rstrip("0123456789")
        if name and environment.get("OASST_HOME") == str(settings.OASST_HOME):
            pids.setdefault(name, []).append(int(process.name))
    return pids


def _redis() -> list[int]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        info: Any = client.info("server")
    return [int(info["process_id"])]


def _postgres() -> list[int]:
    """Return the process ids of the server and its children."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        server = _stat(int(cursor.fetchone()[0]))[1]
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return [int(server), *map(int, children)]


def _stat(pid: int) -> list[str]:
    """Return the fields from the process state on, which is number 3 in proc_pid_stat(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _used(pid: int) -> float:
    try:
        user, system, *of_children = map(int, _stat(pid)[11:15])
    except OSError:
        return 0.0
    return (user + system + sum(of_children)) / _TICKS
