"""`manage.py up` as an operator meets it: from an empty home to green, through kills, to a clean end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from oasst.services import places, postgres, processes, redis
from oasst.services.embedded import Embedded
from tests.operations.test_commands import manage
from tests.services.homes import ROOT, connected, environment, home

__all__ = ["home"]
pytestmark = pytest.mark.slow
SECONDS = 120


class Site:
    """One `up`, its output, and what it started."""

    def __init__(self, path: Path, port: int, **variables: str) -> None:
        self.home, self.port = path, port
        self.log = path.parent / f"up-{time.monotonic_ns()}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up"],
                cwd=ROOT,
                env=environment(path, PORT=str(port), **variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait_ready(self) -> "Site":
        processes.wait_until(lambda: "oasst is ready" in self.output or self.process.poll() is not None, SECONDS)
        assert "oasst is ready" in self.output, self.output
        return self

    def child(self, words: str) -> int:
        """The pid of the one child of `up` whose command line has these words."""
        found = [pid for pid in children(self.process.pid) if words in command_line(pid)]
        assert len(found) == 1, (words, [command_line(pid) for pid in children(self.process.pid)])
        return found[0]

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)

    def get(self, path: str) -> tuple[int, Any]:
        try:
            with urlopen(f"http://localhost:{self.port}{path}", timeout=30) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            return error.code, None


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(entry.name))
    return found


def gone(pids: list[int]) -> bool:
    return processes.wait_until(lambda: not any(command_line(pid) for pid in pids), 40)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture
def sites() -> Iterator[list[Site]]:
    """Whatever a test starts ends with it."""
    started: list[Site] = []
    yield started
    for site in started:
        if site.process.poll() is None:
            site.process.kill()
            site.process.wait()


def test_from_empty_home_to_green_and_back(home: Path, port: int, sites: list[Site]) -> None:
    site = Site(home, port)
    sites.append(site)
    site.wait_ready()
    status, body = site.get("/readyz")
    assert (status, body["status"]) == (200, "ready")
    assert site.get("/healthz") == (200, {"status": "alive"})

    first_run = home / "first-run.txt"
    assert first_run.stat().st_mode & 0o777 == 0o600
    secrets = re.findall(r"(?:Password|API key): +(\S+)", first_run.read_text())
    assert len(secrets) == 2
    for secret in secrets:
        assert site.output.count(secret) == 1, "shown once"
        for log in (home / "services").glob("*.log"):
            assert secret not in log.read_text()

    beside = manage(home, "setup_schedules", PORT=str(port))
    assert (beside.returncode, beside.stderr) == (0, "")
    rival = manage(home, "up", PORT=str(port))
    assert rival.returncode == 1
    assert rival.stderr.startswith(
        f"CommandError: `up` is already running for OASST_HOME={home} (pid {site.process.pid}"
    )
    assert site.get("/readyz")[0] == 200, "neither may stop the servers under `up`"

    pids = children(site.process.pid)
    assert site.end(signal.SIGTERM) == 0
    assert gone(pids)
    assert site.output.rstrip().endswith("Stopped.")

    again = Site(home, port)
    sites.append(again)
    again.wait_ready()
    assert "Password" not in again.output and "API key" not in again.output
    with connected(home) as connection:
        assert connection.execute("SELECT count(*) FROM accounts_user").fetchone() == (1,)
        # The one that was shown, and the one that programs of this machine know.
        assert connection.execute("SELECT count(*) FROM accounts_apikey").fetchone() == (2,)
    assert again.end(signal.SIGINT) == 0


def test_kills_are_survived_and_leave_nothing_that_blocks(home: Path, port: int, sites: list[Site]) -> None:
    site = Site(home, port)
    sites.append(site)
    site.wait_ready()

    os.kill(site.child("manage.py serve"), signal.SIGKILL)
    assert site.get("/healthz")[0] == 200, "the caller waits for the next web server"
    assert "web ended: killed by SIGKILL" in site.output

    worker = site.child("--pool threads")
    os.kill(worker, signal.SIGKILL)
    os.kill(site.child("postgres -D"), signal.SIGKILL)
    os.kill(site.child("redis-server"), signal.SIGKILL)
    expected = ("worker ended: killed by SIGKILL", "postgres had ended", "redis had ended")
    assert processes.wait_until(lambda: all(words in site.output for words in expected), 60), site.output
    assert processes.wait_until(
        lambda: site.get("/readyz")[1] is not None and site.get("/readyz")[1]["status"] == "ready", 60
    )

    def is_whole() -> bool:
        """All five again; a worker that came up before its servers ends once more and is started later."""
        now = children(site.process.pid)
        return len(now) == 5 and any("--pool threads" in command_line(pid) for pid in now if pid != worker)

    assert processes.wait_until(is_whole, 60), site.output
    pids = children(site.process.pid)
    # Also not where somebody complained that Redis was away.
    assert places.redis_password(home) not in site.output + "".join(command_line(pid) for pid in pids)
    site.end(signal.SIGKILL)
    assert gone(pids), [command_line(pid) for pid in pids]
    place = places.prepare(home)
    assert not postgres.answers(place) and not redis.answers(place)

    after = Site(home, port)
    sites.append(after)
    after.wait_ready()
    assert after.end(signal.SIGTERM) == 0


def test_urls_switch_to_other_servers_and_web_processes_share_a_socket(
    home: Path, tmp_path: Path, port: int, sites: list[Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    with Embedded(home):
        where = postgres.database_settings(home)
        address = f"{where['USER']}:{where['PASSWORD']}@{quote(where['HOST'], safe='')}"
        site = Site(
            tmp_path / "other-home",
            port,
            DATABASE_URL=f"postgresql://{address}/{where['NAME']}",
            REDIS_URL=redis.url(home).replace("db=0", "db=3"),
            WEB_PROCESSES="2",
        )
        sites.append(site)
        site.wait_ready()
        assert not (site.home / "services").exists(), "nothing embedded is started"
        with connected(home) as connection:
            assert connection.execute("SELECT count(*) FROM accounts_user").fetchone() == (1,)

        webs = [pid for pid in children(site.process.pid) if "manage.py serve" in command_line(pid)]
        assert len(webs) == 2
        os.kill(webs[0], signal.SIGKILL)
        assert {site.get("/readyz")[0] for _ in range(5)} == {200}
        assert site.end(signal.SIGTERM) == 0
        with connected(home) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,), "servers of others are left running"


def test_port_in_use_is_a_sentence_and_touches_nothing(home: Path, port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = manage(home, "up", PORT=str(port))
    assert done.returncode == 1
    assert done.stderr == f"CommandError: Port {port} is in use. Set PORT to another one.\n"
    assert not (home / "services").exists()
