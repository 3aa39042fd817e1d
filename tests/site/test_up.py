"""`manage.py up` as an operator sees it: from an empty home to ready, through kills, to a clean end."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import pytest
import requests

from oasst.embedded import directories, postgres, processes, redis
from oasst.embedded.servers import EmbeddedServers
from tests.embedded.homes import ROOT, connected, environment, home
from tests.embedded.test_commands import manage

__all__ = ["home"]
pytestmark = pytest.mark.slow
SECONDS = 120


class Site:
    """One `up`, its output, and its processes."""

    def __init__(self, path: Path, port: int, *, terminal: bool = False, **variables: str) -> None:
        self.home, self.port = path, port
        self.log = path.parent / f"up-{time.monotonic_ns()}.log"
        with ExitStack() as stack:
            output = stack.enter_context(terminal_into(self.log) if terminal else self.log.open("wb"))
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
        def is_announced() -> bool:  # to the closing rule: the lines of the announcement are written one by one
            return "─" in self.output.partition("oasst is ready")[2]

        processes.wait_until(lambda: is_announced() or self.process.poll() is not None, SECONDS)
        assert "oasst is ready" in self.output, self.output
        return self

    def child(self, words: str) -> int:
        """Return the pid of the one child of `up` whose command line has these words."""
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


@contextmanager
def terminal_into(log: Path) -> Iterator[int]:
    """A terminal whose output is copied into the file, until no process has it open."""
    ours, theirs = pty.openpty()

    def copy() -> None:
        with log.open("ab", buffering=0) as file, suppress(OSError):  # EIO: no process has the other end open any more
            while words := os.read(ours, 4096):
                file.write(words)
        os.close(ours)

    log.touch()
    threading.Thread(target=copy, daemon=True).start()
    try:
        yield theirs
    finally:
        os.close(theirs)


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


def sockets_of_web_processes(site: Site) -> list[str]:
    """Return the inode of each web process's listening socket, which `up` has open under the number that it passed."""
    found = []
    for pid in children(site.process.pid):
        if "manage.py serve" in (words := command_line(pid)):
            found.append(os.readlink(f"/proc/{site.process.pid}/fd/{words.split()[-1]}"))
            assert found[-1] in {os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir()}, words
    return sorted(found)


def who_answers(site: Site, name: str) -> set[str]:
    """Return the processes that log, in the log of the site, twenty answered requests."""
    for number in range(20):
        headers = {"X-Request-ID": f"{name}-caller-{number}"}
        assert requests.get(f"http://localhost:{site.port}/terms/", headers=headers, timeout=60).status_code == 200
    lines = (json.loads(line) for line in site.output.splitlines() if f'"{name}-caller-' in line)
    return {line["process"] for line in lines}


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
    """All processes of a test end with it."""
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
    token_file = home / "metrics-token"
    assert token_file.stat().st_mode & 0o777 == 0o600
    token = token_file.read_text().strip()
    for log in (site.log, *(home / "services").glob("*.log")):
        assert not any(secret in log.read_text() for secret in (*secrets, token)), "what is no terminal is a log"
    for hint in ("manage.py sign_in_link admin@localhost", "manage.py create_api_client", str(first_run)):
        assert hint in site.output
    assert "accounts/link/" not in site.output
    metrics = requests.Session()
    address = f"http://localhost:{port}/metrics"
    assert metrics.get(address, timeout=30).status_code == 403, "also not for this machine"
    assert metrics.get(address, timeout=30, headers={"Authorization": f"Bearer {token}"}).status_code == 200

    front = requests.get(f"http://localhost:{port}/", timeout=30)
    assert front.headers["Content-Encoding"] == "gzip"
    for file in re.findall(r"/static/[^\"]+\.(?:css|js)", front.text):
        sent = requests.get(f"http://localhost:{port}{file}", timeout=30).headers
        assert sent["Content-Encoding"] == "gzip" and "immutable" in sent["Cache-Control"], (file, sent)

    beside = manage(home, "setup_schedules", PORT=str(port))
    assert (beside.returncode, beside.stderr) == (0, "")
    second_terminal = manage(home, "sign_in_link", "admin@localhost").stdout.splitlines()
    assert second_terminal[-1].startswith(f"http://localhost:{port}/accounts/link/?key="), "nobody said PORT there"
    assert "other machines" in second_terminal[0]
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

    again = Site(home, port, terminal=True)
    sites.append(again)
    again.wait_ready()
    assert "Password" not in again.output and "API key" not in again.output
    assert first_run.exists()
    sign_in_by_the_link_in(again.output)
    assert not first_run.exists(), "the first password is no longer needed"
    assert token_file.read_text().strip() == token
    with connected(home) as connection:
        assert connection.execute("SELECT count(*) FROM accounts_user").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM accounts_apikey").fetchone() == (1,)
    assert again.end(signal.SIGINT) == 0


def sign_in_by_the_link_in(output: str) -> None:
    """Do as a browser does: open the link from the terminal and press the button."""
    found = re.search(r"http://localhost:\d+/accounts/link/\?key=\S+", output)
    assert found, output
    browser = requests.Session()
    page = browser.get(found[0], timeout=30)
    fields = dict(re.findall(r'name="(csrfmiddlewaretoken|key)" value="([^"]+)"', page.text))
    inside = browser.post(found[0].partition("?")[0], data=fields, timeout=30)
    assert inside.status_code == 200 and "sessionid" in browser.cookies
    assert inside.url.partition("?")[0].endswith(("/terms/accept/", "/dashboard/")), inside.url


def status_by_the_known_key(port: int, **headers: str) -> int:
    address = f"http://localhost:{port}/api/v1/stats/"
    return requests.get(address, headers={"X-API-Key": "1234", **headers}, timeout=30).status_code


def test_kills_are_survived_and_leave_nothing_that_blocks(home: Path, port: int, sites: list[Site]) -> None:
    site = Site(home, port, OFFICIAL_WEB_API_KEY="1234")
    sites.append(site)
    site.wait_ready()
    assert status_by_the_known_key(port) == 200
    assert status_by_the_known_key(port, Via="1.1 proxy") == 403

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
        """All five run again; a worker that started before its servers ends once more and restarts later."""
        now = children(site.process.pid)
        return len(now) == 5 and any("--pool threads" in command_line(pid) for pid in now if pid != worker)

    assert processes.wait_until(is_whole, 60), site.output
    pids = children(site.process.pid)
    # Nor in an error about Redis.
    assert directories.redis_password(home) not in site.output + "".join(command_line(pid) for pid in pids)
    site.end(signal.SIGKILL)
    assert gone(pids), [command_line(pid) for pid in pids]
    dirs = directories.prepare_directories(home)
    assert not postgres.answers(dirs) and not redis.answers(dirs)

    after = Site(home, port)
    sites.append(after)
    after.wait_ready()
    assert status_by_the_known_key(port) == 403, "the row that the start before stored is switched off"
    assert after.end(signal.SIGTERM) == 0


def test_urls_switch_to_other_servers_and_web_processes_share_a_port(
    home: Path, tmp_path: Path, port: int, sites: list[Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    with EmbeddedServers(home):
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
        sockets = sockets_of_web_processes(site)
        assert len(set(sockets)) == 2, "one each"
        assert processes.wait_until(lambda: who_answers(site, "first") == {"web", "web1"}, 60), site.output
        rival = manage(tmp_path / "rival", "up", PORT=str(port), WEB_PROCESSES="2")
        assert rival.stderr == f"CommandError: Port {port} is in use. Set PORT to another one.\n"

        os.kill(webs[0], signal.SIGKILL)
        assert {site.get("/readyz")[0] for _ in range(20)} == {200}, "who comes to the killed one waits for the next"
        assert processes.wait_until(lambda: who_answers(site, "second") == {"web", "web1"}, 60), site.output
        assert sockets_of_web_processes(site) == sockets, "the next one has the socket of the killed one"
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
