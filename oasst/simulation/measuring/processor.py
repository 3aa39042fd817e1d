"""Who used the processor: CPU seconds of the parts of a site that runs on this machine.

On a shared machine the clock on the wall tells how busy the others are; these seconds do not. Linux only.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.db import connection

_TICKS = os.sysconf("SC_CLK_TCK")


class Processor:
    """The parts are found once: what `./manage.py up` started for this home, its servers, and this process."""

    def __init__(self) -> None:
        self._parts = {"client": [os.getpid()], "redis": _redis(), **_children_of_up()}

    def seconds(self) -> dict[str, float]:
        """Part → CPU seconds until now, ended children included."""
        found = {name: sum(map(_used, pids)) for name, pids in self._parts.items()}
        return {**found, "postgres": sum(map(_used, _postgres()))}

    def of_each_web_process(self) -> list[float]:
        """CPU seconds until now of each web process, in the order of their ids."""
        return [_used(pid) for pid in sorted(self._parts.get("web", []))]


class Stolen:
    """The share of the processor that a virtual machine wanted and was not given, since this was made."""

    def __init__(self) -> None:
        self._before = _times()

    def __str__(self) -> str:
        used, stolen = (now - before for now, before in zip(_times(), self._before, strict=True))
        return f"{stolen / max(1, used + stolen):.0%} stolen by other machines"


def _times() -> tuple[int, int]:
    """Ticks of all cores that were used, and that were stolen. See proc_stat(5)."""
    user, nice, system, _, _, irq, softirq, steal, *_ = map(int, Path("/proc/stat").read_text().split()[1:11])
    return user + nice + system + irq + softirq, steal


def _children_of_up() -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for one in Path("/proc").glob("[0-9]*"):
        try:
            environment = dict(line.partition("=")[::2] for line in (one / "environ").read_text().split("\0"))
        except OSError:  # ended meanwhile, or another person's
            continue
        name = environment.get("OASST_PROCESS", "").rstrip("0123456789")
        if name and environment.get("OASST_HOME") == str(settings.OASST_HOME):
            found.setdefault(name, []).append(int(one.name))
    return found


def _redis() -> list[int]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        about: Any = client.info("server")
    return [int(about["process_id"])]


def _postgres() -> Iterable[int]:
    """The server and its processes, one for each connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        server = _stat(int(cursor.fetchone()[0]))[1]
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return [int(server), *map(int, children)]


def _stat(pid: int) -> list[str]:
    """From the state on, as proc(5) numbers them from 3."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _used(pid: int) -> float:
    try:
        user, system, *of_children = map(int, _stat(pid)[11:15])
    except OSError:
        return 0.0
    return (user + system + sum(of_children)) / _TICKS
