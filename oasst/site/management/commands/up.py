"""manage.py up: start everything: servers, tables, first accounts, web server, worker and clock."""

import errno
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from django.conf import settings
from django.core.management import CommandError, call_command, get_commands
from django.core.management.base import BaseCommand, CommandParser
from django.db.utils import OperationalError

from inference.runs import environment
from inference.turns import local_engine
from oasst.core import redaction
from oasst.core.command_lines import manage_command
from oasst.core.errors import DomainError
from oasst.embedded.commands import close_connections, exit_on_sigterm
from oasst.embedded.errors import ServiceError
from oasst.embedded.instance_lock import InstanceLock
from oasst.embedded.servers import EmbeddedServers
from oasst.embedded.sockets import listen_shared
from oasst.embedded.supervisor import Program, Supervisor
from oasst.site.management import first_run, static
from trees.enrichment import embeddings

READY_SECONDS = 120
MAX_START_FAILURES = 4
"""`up` gives up when a process has ended this often before the site was ready."""
RULE = "─" * 72


class Command(BaseCommand):
    help = (
        "Start the site and keep it running: PostgreSQL and Redis (unless DATABASE_URL or REDIS_URL name others), "
        "migrations, schedules, on the first start an administrator and an API key, then web server, worker and clock. "
        "Ctrl-C or SIGTERM stops all of it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--demo", action="store_true", help="also load example trees and a crowd of demo users")

    def handle(self, *args: Any, **options: Any) -> None:
        home: Path = settings.OASST_HOME
        with ExitStack() as stack:
            try:
                stack.enter_context(exit_on_sigterm())
                stack.enter_context(InstanceLock(home, settings.PUBLIC_URL))
                listeners = [stack.enter_context(listener) for listener in self._listen()]
                servers = stack.enter_context(EmbeddedServers(home, owner=True))
                stack.callback(close_connections)
                welcome = self._prepare(demo=options["demo"])
                # Children must not inherit our connections, and forking is safer without the threads of the pool.
                close_connections()
                self._supervise(listeners, servers, welcome)
            except (ServiceError, DomainError) as error:
                raise CommandError(str(error)) from error
            except OperationalError as error:
                raise CommandError(f"The database does not answer: {error}") from error
        self._say("Stopped.")

    def _listen(self) -> list[socket.socket]:
        """Open the sockets here, so that connections wait while a web server restarts."""
        try:
            return listen_shared(settings.BIND_ADDRESS, settings.PORT, settings.WEB_PROCESSES)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise CommandError(f"Port {settings.PORT} is in use. Set PORT to another one.") from error
            raise CommandError(
                f"Cannot listen on {settings.BIND_ADDRESS}, port {settings.PORT}: {error.strerror}."
            ) from error

    def _prepare(self, *, demo: bool) -> list[str]:
        """Prepare database and files, and return what to print once the site is ready."""
        self._say("Tables …")
        call_command("migrate", interactive=False, verbosity=0)
        self._say("Static files …")
        static.collect_static()
        call_command("setup_schedules", stdout=self.stdout)
        first = first_run.create_missing(
            email=(settings.ADMIN_EMAILS or ["admin@localhost"])[0], file=settings.FIRST_RUN_FILE
        )
        if first_run.ensure_metrics_token():
            self._say(f"The token for /metrics stands in {settings.KEPT_METRICS_TOKEN}.")
        self._fetch_models()
        if settings.OASST_TRAINING and (missing := environment.missing_in_words()):
            self._say(f"{missing} Until then trainings wait.")
        if demo:
            if "seed_demo" not in get_commands():
                raise CommandError("There is no command seed_demo in this installation.")
            self._say("Demo data …")
            call_command("seed_demo", stdout=self.stdout)
        return first_run.welcome_lines(first, terminal=self.stdout.isatty())

    def _fetch_models(self) -> None:
        """Fetch models in a process of its own, which frees its gigabyte at its end. If it fails, the site starts
        without them.
        """
        missing = [
            name
            for name, is_missing in (
                (settings.OASST_CHAT_MODEL, local_engine.needs_model()),
                (settings.OASST_EMBEDDINGS, embeddings.needs_model()),
            )
            if is_missing
        ]
        for name in missing:
            self._fetch_model(name)

    def _fetch_model(self, name: str) -> None:
        self._say(f"Model {name} …")
        # -u, because the line about a download must appear before it, even if the output is not a terminal.
        command = [sys.executable, "-u", str(settings.BASE_DIR / "manage.py"), "fetch_model", name, "--skip-checks"]
        if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode:
            self._say(
                f"The model {name} is missing; why stands above. Everything that needs no model works; "
                f"`{manage_command('fetch_model')}` tries again."
            )

    def _supervise(self, listeners: list[socket.socket], servers: EmbeddedServers, welcome: list[str]) -> None:
        watch = SiteWatcher(self, servers, welcome)
        watch.supervisor = Supervisor(
            programs([listener.fileno() for listener in listeners]),
            directory=settings.BASE_DIR,
            show=self._show,
            say=self._say,
            between=watch.look,
        )
        watch.supervisor.run()
        if watch.failure:
            raise CommandError(watch.failure)

    def _show(self, name: str, line: str) -> None:
        line = redaction.escape(line)  # some output does not go through the log
        # JSON lines name their process and must stay JSON.
        self._say(line if line.startswith("{") else f"{name:7} │ {line}")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


class SiteWatcher:
    """Watch the embedded servers and whether the site is ready, while `up` runs its children."""

    def __init__(self, command: Command, servers: EmbeddedServers, welcome: list[str]) -> None:
        self.supervisor: Supervisor
        self.failure = ""
        self._say = command._say
        self._servers = servers
        self._welcome = welcome
        self._ready = False
        self._give_up_at = time.monotonic() + READY_SECONDS
        self._next_look = 0.0

    def look(self) -> None:
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + (2 if self._ready else 0.3)
        self._revive_servers()
        if not self._ready:
            self._wait_until_ready()

    def _revive_servers(self) -> None:
        try:
            for name in self._servers.revive():
                self._say(f"{name} had ended and was started again. Its log: {settings.OASST_HOME}/services/{name}.log")
        except ServiceError as error:
            self._say(str(error))

    def _wait_until_ready(self) -> None:
        status = readiness()
        if status in ("ready", "degraded"):
            self._ready = True
            self._announce()
            self.supervisor.start_waiting()
        elif failing := [child.program.name for child in self.supervisor.children if child.ends >= MAX_START_FAILURES]:
            self._fail(f"{failing[0]} does not start; the reason stands above.")
        elif time.monotonic() > self._give_up_at:
            self._fail(f"The site was not ready after {READY_SECONDS} seconds: {status}")

    def _fail(self, why: str) -> None:
        self.failure = why
        self.supervisor.stop()

    def _announce(self) -> None:
        self._say(RULE)
        for line in self._welcome:
            self._say(line)
        self._say(RULE)


def programs(listeners: Sequence[int]) -> list[Program]:
    """Return the programs that `up` runs: a web process for each of these listening sockets, and the others."""
    manage_py = [sys.executable, str(settings.BASE_DIR / "manage.py")]
    # As root Celery warns about pickled jobs; ours are JSON.
    no_warning = ["-W", "ignore:You're running the worker with superuser privileges"]
    celery = [sys.executable, *no_warning, "-m", "celery", "--quiet", "--app", "oasst"]
    # All processes write counters into one directory, so that /metrics includes the worker.
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(_empty(settings.OASST_HOME / "metrics"))}
    shared["CELERY_SKIP_CHECKS"] = "1"  # `up` has run them
    if settings.LOGGING["style"] == "auto":
        shared["LOG_FORMAT"] = "human" if sys.stdout.isatty() else "json"
    level = settings.LOGGING["level"].lower()
    serve = [*manage_py, "serve", "--skip-checks", "--fd"]
    web = [
        Program(f"web{number or ''}", [*serve, str(listener)], shared, inherit=[listener])
        for number, listener in enumerate(listeners)
    ]
    has_engine = settings.OASST_ENGINE == "worker" and settings.OASST_CHAT_MODEL != "none"
    engine = [Program("engine", [*manage_py, "run_engine", "--skip-checks"], shared, waits=True)] if has_engine else []
    has_trainer = settings.OASST_TRAINING and not environment.missing_packages()
    trainer = (
        [Program("trainer", [*manage_py, "run_trainer", "--skip-checks"], shared, waits=True)] if has_trainer else []
    )
    # Threads, not forked processes: jobs mostly wait for the database, and one process has one pool of connections,
    # takes half the memory and leaves no orphans when it is killed.
    worker = ["worker", "--pool", "threads", "--concurrency", str(settings.WORKER_THREADS)]
    worker += ["--without-gossip", "--without-mingle"]
    return [
        *web,
        *engine,
        *trainer,
        Program("worker", [*celery, *worker, "--loglevel", level], shared, waits=True),
        Program("beat", [*celery, "beat", "--loglevel", level], shared, waits=True),
    ]


def _empty(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, parents=True)
    return directory


def readiness() -> str:
    """Return the status that /readyz reports, or why it does not answer."""
    address = settings.BIND_ADDRESS
    if address in ("0.0.0.0", "::"):
        address = "127.0.0.1" if address == "0.0.0.0" else "::1"
    host = f"[{address}]" if ":" in address else address
    request = Request(f"http://{host}:{settings.PORT}/readyz", headers={"Host": "localhost"})
    try:
        with urlopen(request, timeout=2) as answer:
            return str(json.load(answer)["status"])
    except HTTPError as error:
        return error.read(2000).decode(errors="replace")
    except (URLError, OSError, ValueError) as error:
        return f"no answer ({error})"
