"""Processes of the site that a test starts, kills and restarts."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from django.conf import settings
from django.db import connection

from oasst.embedded.processes import die_with_parent
from oasst.embedded.sockets import listen

START_SECONDS = 120


class Process:
    """One program with a log. Sends signals only to processes that it started."""

    def __init__(
        self, argv: Sequence[str], log: Path, *, inherit: Sequence[int] = (), variables: Mapping[str, str] | None = None
    ) -> None:
        self.argv = [sys.executable, *argv]
        self.log = log
        self.inherit = tuple(inherit)
        self.variables = dict(variables or {})
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                self.argv,
                cwd=settings.BASE_DIR,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "tests.crash.settings",
                    "OASST_CRASH_DATABASE": connection.settings_dict["NAME"],
                    "LOG_LEVEL": "WARNING",
                    **self.variables,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self.inherit,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]


def serve(listener: socket.socket, log: Path, variables: Mapping[str, str] | None = None) -> Process:
    """The web server on a socket that stays open between restarts."""
    descriptor = listener.fileno()
    argv = ["manage.py", "serve", "--skip-checks", "--fd", str(descriptor)]
    return Process(argv, log, inherit=[descriptor], variables=variables)


class Site:
    """The web server on a socket that stays open between restarts, as under `up`, and a worker."""

    def __init__(self, folder: Path) -> None:
        self.listener: socket.socket = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.web = serve(self.listener, folder / "web.log")
        celery = ["-m", "celery", "--quiet", "--app", "oasst", "worker", "--pool", "threads", "--concurrency", "1"]
        self.worker = Process(celery, folder / "worker.log")
        wait_until(self._is_ready, START_SECONDS, lambda: f"the site did not start:\n{self.web.said()}")

    def _is_ready(self) -> bool:
        try:
            with urlopen(f"{self.url}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def kill_and_restart(self) -> None:
        for process in (self.web, self.worker):
            process.kill()
            process.start()

    def end(self) -> None:
        self.web.kill()
        self.worker.kill()
        self.listener.close()


def wait_until(is_so: Callable[[], bool], seconds: float, why_not: Callable[[], str]) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, why_not()
        time.sleep(0.05)
