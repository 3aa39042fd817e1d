"""Everything at once: servers, tables, first accounts, web, worker and clock."""

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

from inference.turns import local_engine
from oasst.core import redaction
from oasst.core.command_lines import manage
from oasst.core.errors import DomainError
from oasst.embedded.commands import close_connections, ending_in_order
from oasst.embedded.errors import ServiceError
from oasst.embedded.instance_lock import OnlyOne
from oasst.embedded.servers import Embedded
from oasst.embedded.sockets import listen_for_each
from oasst.embedded.supervisor import Program, Supervisor
from oasst.site.management import first_run, static

READY_SECONDS = 120
HOPELESS_ENDS = 4
"""A part that ended this often before the site was ever ready will not get well by itself."""
RULE = "─" * 72


class Command(BaseCommand):
    help = (
        "Start the site and keep it running: PostgreSQL and Redis (unless DATABASE_URL or REDIS_URL name others), "
        "migrations, schedules, on the first start an administrator and an API key, then web server, worker and clock. "
        "Ctrl-C or SIGTERM ends all of it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--demo", action="store_true", help="also load example trees and a crowd of demo users")

    def handle(self, *args: Any, **options: Any) -> None:
        home: Path = settings.OASST_HOME
        with ExitStack() as stack:
            try:
                stack.enter_context(ending_in_order())
                stack.enter_context(OnlyOne(home, settings.PUBLIC_URL))
                listeners = [stack.enter_context(one) for one in self._listen()]
                servers = stack.enter_context(Embedded(home, owner=True))
                stack.callback(close_connections)
                welcome = self._prepare(demo=options["demo"])
                # Children must not inherit our connections, and forking is safest without the threads of
                # the pool.
                close_connections()
                self._supervise(listeners, servers, welcome)
            except (ServiceError, DomainError) as error:
                raise CommandError(str(error)) from error
            except OperationalError as error:
                raise CommandError(f"The database does not answer: {error}") from error
        self._say("Stopped.")

    def _listen(self) -> list[socket.socket]:
        """Opened here and handed down: a web server that starts again finds its callers still waiting."""
        try:
            return listen_for_each(settings.BIND_ADDRESS, settings.PORT, settings.WEB_PROCESSES)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise CommandError(f"Port {settings.PORT} is in use. Set PORT to another one.") from error
            raise CommandError(
                f"Can not listen on {settings.BIND_ADDRESS}, port {settings.PORT}: {error.strerror}."
            ) from error

    def _prepare(self, *, demo: bool) -> list[str]:
        """Returns what to say once the site is ready."""
        self._say("Tables …")
        call_command("migrate", interactive=False, verbosity=0)
        self._say("Static files …")
        static.collect()
        call_command("setup_schedules", stdout=self.stdout)
        first = first_run.create_what_is_missing(
            email=(settings.ADMIN_EMAILS or ["admin@localhost"])[0], file=settings.FIRST_RUN_FILE
        )
        if first_run.ensure_metrics_token():
            self._say(f"The token for /metrics stands in {settings.KEPT_METRICS_TOKEN}.")
        self._fetch_chat_model()
        if demo:
            if "seed_demo" not in get_commands():
                raise CommandError("There is no command seed_demo in this installation.")
            self._say("Demo data …")
            call_command("seed_demo", stdout=self.stdout)
        return first_run.welcome(first, terminal=self.stdout.isatty())

    def _fetch_chat_model(self) -> None:
        """In a process of its own, whose gigabyte ends with it. The site is worth starting without a model too."""
        if not local_engine.needs_model():
            return
        self._say("Chat model …")
        # -u: what it is about to download is said before, also where the output is no terminal.
        command = [sys.executable, "-u", str(settings.BASE_DIR / "manage.py"), "fetch_model", "--skip-checks"]
        if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode:
            self._say(
                f"Chat has no model; why stands above. Everything else works; `{manage('fetch_model')}` tries again."
            )

    def _supervise(self, listeners: list[socket.socket], servers: Embedded, welcome: list[str]) -> None:
        watch = Watch(self, servers, welcome)
        watch.supervisor = Supervisor(
            programs([one.fileno() for one in listeners]),
            directory=settings.BASE_DIR,
            show=self._show,
            say=self._say,
            between=watch.look,
        )
        watch.supervisor.run()
        if watch.failure:
            raise CommandError(watch.failure)

    def _show(self, name: str, line: str) -> None:
        line = redaction.escape(line)  # not all that a process writes goes through its log
        # JSON lines name their process themselves and stay JSON.
        self._say(line if line.startswith("{") else f"{name:7} │ {line}")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


class Watch:
    """What `up` looks at between the lines of its children: the embedded servers, and when the site is
    ready.
    """

    def __init__(self, command: Command, servers: Embedded, welcome: list[str]) -> None:
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
        elif worn := [one.program.name for one in self.supervisor.children if one.ends >= HOPELESS_ENDS]:
            self._fail(f"{worn[0]} does not start; the reason stands above.")
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
    """What `up` runs: a web process for each of these listening sockets, and the others."""
    ours = [sys.executable, str(settings.BASE_DIR / "manage.py")]
    # As root Celery warns about pickled jobs; ours are JSON.
    unwarned = ["-W", "ignore:You're running the worker with superuser privileges"]
    celery = [sys.executable, *unwarned, "-m", "celery", "--quiet", "--app", "oasst"]
    # Counters of all processes meet in one directory, so that one /metrics tells about the worker too.
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(_empty(settings.OASST_HOME / "metrics"))}
    shared["CELERY_SKIP_CHECKS"] = "1"  # done already, by `up` itself
    if settings.LOGGING["style"] == "auto":
        shared["LOG_FORMAT"] = "human" if sys.stdout.isatty() else "json"
    level = settings.LOGGING["level"].lower()
    web = [
        Program(
            f"web{number or ''}", [*ours, "serve", "--skip-checks", "--fd", str(listener)], shared, inherit=[listener]
        )
        for number, listener in enumerate(listeners)
    ]
    wants_engine = settings.OASST_ENGINE == "worker" and settings.OASST_CHAT_MODEL != "none"
    engine = [Program("engine", [*ours, "run_engine", "--skip-checks"], shared, waits=True)] if wants_engine else []
    # Threads, not forked processes: jobs mostly wait for the database; one process shares one pool of
    # connections, takes half the memory, and leaves no orphans when it is killed.
    worker = ["worker", "--pool", "threads", "--concurrency", str(settings.WORKER_THREADS)]
    worker += ["--without-gossip", "--without-mingle"]
    return [
        *web,
        *engine,
        Program("worker", [*celery, *worker, "--loglevel", level], shared, waits=True),
        Program("beat", [*celery, "beat", "--loglevel", level], shared, waits=True),
    ]


def _empty(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, parents=True)
    return directory


def readiness() -> str:
    """What /readyz says, or why it can not be asked."""
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
