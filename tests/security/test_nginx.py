"""The site behind a real nginx: with a bare `proxy_pass`, as many people start, and with deploy/nginx.conf.

Slow, because each server is a process: two web servers are started for all tests.
"""

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from oasst.accounts import api_clients, registration
from oasst.accounts.authentication import sign_in_links
from oasst.accounts.models import ApiClient, Role, Session
from oasst.embedded.sockets import listen
from tests.crash.processes import START_SECONDS, serve, wait_until
from tests.security.nginx import NAME, Nginx
from tests.security.pages import addresses

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
HOME = f"https://{NAME}"
# A request that different proxies would describe to the site in different ways.
LIES = {
    "X_Forwarded_For": "203.0.113.7",
    "X_Forwarded_Host": "evil.example",
    "X_Forwarded_Proto": "http",
    "X_Forwarded_Port": "80",
    "X_Real_IP": "203.0.113.7",
    "Forwarded": "for=203.0.113.7;host=evil.example;proto=http",
}


class Web:
    """One real web server with the test's database."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.socket = listen("127.0.0.1", 0)
        self.port: int = self.socket.getsockname()[1]
        variables = {"DJANGO_SETTINGS_MODULE": "tests.security.settings", "METRICS_TOKEN": "s3cret", **variables}
        self.process = serve(self.socket, folder / f"web-{self.port}.log", variables)

    def end(self) -> None:
        self.process.kill()
        self.socket.close()


@pytest.fixture(scope="module")
def link_key(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """The key of a sign-in link of an administrator; beside them the key 1234 as earlier versions stored it.

    Committed before the transactions of the tests, so that the servers see it.
    """
    with django_db_blocker.unblock():
        boss = registration.create_user(email="boss@example.org", role=Role.ADMIN)
        known, _ = api_clients.create_api_client(name="website", trusted=True, key="1234")
        link = sign_in_links.make_link(boss, minutes=60)
    yield link.partition("key=")[2]
    with django_db_blocker.unblock():
        Session.objects.filter(account=boss.pk).delete()
        known.delete()
        boss.delete()
        with connection.cursor() as cursor:  # its rows cannot be deleted
            cursor.execute("TRUNCATE core_auditentry CASCADE")


@pytest.fixture(scope="module")
def sites(link_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Nginx, Nginx]]:
    """The two proxies: the bare one and the sample."""
    folder = tmp_path_factory.mktemp("nginx")
    webs = [Web(folder), Web(folder, PUBLIC_URL=HOME, TRUSTED_PROXIES="1")]
    fronts = [Nginx(folder / "bare", webs[0].port), Nginx(folder / "sample", webs[1].port, sample=True)]
    for web, front in zip(webs, fronts, strict=True):
        wait_until(lambda front=front: front.ask("/healthz").status == 200, START_SECONDS, web.process.said)  # type: ignore[misc]
    yield fronts[0], fronts[1]
    for one in (*fronts, *webs):
        one.end()


@pytest.fixture(params=["bare", "sample"])
def front(request: pytest.FixtureRequest, sites: tuple[Nginx, Nginx]) -> Nginx:
    return sites[0 if request.param == "bare" else 1]


@pytest.fixture
def bare(sites: tuple[Nginx, Nginx]) -> Nginx:
    return sites[0]


@pytest.fixture
def sample(sites: tuple[Nginx, Nginx]) -> Nginx:
    return sites[1]


class TestNothingIsHandedOver:
    def test_the_known_key(self, front: Nginx) -> None:
        for path in ("/api/v1/admin/backend_settings/full", "/api/v1/stats/", "/api/v1/stats/?api_key=1234"):
            answer = front.ask(path, X_API_Key="1234")
            assert (answer.status, '"error_code":2' in answer.text) == (403, True), answer.text
        assert "create_api_client" in answer.text

    def test_the_known_root_token(self, front: Nginx) -> None:
        form = {"description": "mine", "frontend_type": "bot", "trusted": "true"}
        answer = front.ask("/api/v1/admin/api_client", "POST", form=form, Authorization="Bearer 1234")
        assert answer.status == 403, answer.text
        assert ApiClient.objects.count() == 1

    def test_the_metrics(self, front: Nginx) -> None:
        assert front.ask("/metrics").status == 403
        assert front.ask("/metrics", Authorization="Bearer ").status == 403
        assert front.ask("/metrics", Authorization="Bearer s3cret").status == 200

    def test_the_code_of_somebody_else(self, front: Nginx) -> None:
        door = front.ask("/accounts/login/")
        assert "sends no mail" in door.text
        cookie = door.cookies["csrftoken"].partition(";")[0]
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', door.text)
        assert token
        asked = front.ask(
            "/accounts/login/code/",
            "POST",
            form={"email": "boss@example.org", "csrfmiddlewaretoken": token[1]},
            Cookie=cookie,
            Origin=HOME if front.sample else f"http://{NAME}",
        )
        assert asked.status == 403 and "sessionid" not in asked.cookies
        assert front.ask("/accounts/login/code/confirm/", Cookie=cookie).status == 302


class TestHost:
    def test_the_bare_one_names_the_site_itself(self, bare: Nginx) -> None:
        for headers in ({"Host": "evil.example"}, {"X_Forwarded_Host": "evil.example"}):
            answer = bare.ask("/accounts/login", **headers)
            assert answer.status in (301, 302)
            assert "evil.example" not in f"{answer.headers}{answer.text}"

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost", f"{NAME}.evil.example"])
    def test_the_sample_answers_to_its_own_name_only(self, sample: Nginx, host: str) -> None:
        with sample.line() as line:
            line.sendall(f"GET /accounts/login/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert line.recv(1) == b""

    def test_without_tls_it_sends_everybody_to_the_certificate(self, sample: Nginx) -> None:
        with socket.create_connection(("127.0.0.1", sample.plain), timeout=60) as line:
            line.sendall(f"GET /terms/?a=1 HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
            assert f"Location: {HOME}/terms/?a=1" in line.recv(4000).decode()


class TestForwardingHeaders:
    def test_nobody_chooses_the_address_that_limits_count_by(self, sample: Nginx) -> None:
        path = "/accounts/link/?key=wrong"
        lies = [{**LIES, "X_Forwarded_For": f"203.0.113.{number}, 198.51.100.{number}"} for number in range(61)]
        answers = [sample.ask(path, **lie).status for lie in lies]
        assert answers == [410] * 60 + [429]
        assert sample.ask(path, source="127.0.0.2").status == 410, "another address has tries of its own"

    def test_the_site_knows_that_it_is_under_tls(self, sample: Nginx) -> None:
        for headers in ({}, LIES):
            answer = sample.ask("/accounts/login/", **headers)
            assert answer.status == 200
            assert "Strict-Transport-Security" in answer.headers
            assert "Secure" in answer.cookies["csrftoken"]

    def test_a_sign_in_link_to_the_end(self, sample: Nginx, link_key: str) -> None:
        page = sample.ask(f"/accounts/link/?key={link_key}", **LIES)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token
        form = {"key": link_key, "csrfmiddlewaretoken": token[1]}
        cookie = page.cookies["csrftoken"].partition(";")[0]
        inside = sample.ask("/accounts/link/", "POST", form=form, Cookie=cookie, Origin=HOME)
        assert (inside.status, inside.headers["Location"]) == (302, "/dashboard/")
        assert "Secure" in inside.cookies["sessionid"]
        written = sample.logs()
        assert "/accounts/link/" in written and link_key not in written


class TestWhatPasses:
    def test_sockets(self, sample: Nginx) -> None:
        head = {
            "Host": NAME,
            "Origin": HOME,
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        with sample.line() as line:
            line.sendall(f"GET /ws/chat/{uuid4()}/ HTTP/1.1\r\n{lines}\r\n".encode())
            assert line.recv(4000).startswith(b"HTTP/1.1 101 ")

    def test_what_the_site_compressed_and_nothing_more(self, sample: Nginx) -> None:
        """Distributions switch gzip on for all of nginx, which does not know which pages show secrets."""
        for path, encoding in {"/docs/": "gzip", "/accounts/login/": None}.items():
            answer = sample.ask(path, Accept_Encoding="gzip")
            assert (answer.status, answer.headers["Content-Encoding"]) == (200, encoding), path

    def test_large_bodies_do_not(self, sample: Nginx) -> None:
        with sample.line() as line:
            line.sendall(f"POST /api/v1/tasks/ HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 6000000\r\n\r\n".encode())
            assert line.recv(4000).startswith(b"HTTP/1.1 413 ")


KEY = "s3cr3tV4lue"


def paths_with_keys() -> list[str]:
    """Return each page with a key in its path, links as people mistype them, and keys in queries."""
    secret = [one for one in addresses() if {"key", "token", "code"} & set(one.parameters)]
    assert len(secret) >= 2
    return [
        *(one.filled(dict.fromkeys(one.parameters, KEY)) for one in secret),
        *(f"/accounts/confirm-email/{KEY}", f"//accounts//confirm-email//{KEY}/a/", f"/Accounts/Confirm-Email/{KEY}"),
        *(f"/accounts/confirm-email/%0A{KEY}/", f"/accounts%2Fconfirm-email%2F{KEY}", f"/accounts%252Flink%252F{KEY}"),
        *(f"/accounts/password/reset/{KEY}", f"/accounts/reset/1-{KEY}/", f"/accounts/link/{KEY}"),
        *(f"/accounts/link/?key={KEY}", f"//accounts/link?key={KEY}", f"/api/v1/stats/?api_key={KEY}"),
        *(f"/accounts/discord/login/callback/?code={KEY}&state={KEY}", f"/inference/auth/callback/x?code={KEY}"),
    ]


def ask_without_tls(port: int, host: str, path: str) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        while line.recv(4000):
            pass


class Behind:
    """A server that keeps the head of its one request, and sends its response in two pieces."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.head = b""
        self.go_on = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        line, _ = self.socket.accept()
        with line:
            while b"\r\n\r\n" not in self.head:
                self.head += line.recv(4000)
            head = ("HTTP/1.1 200 OK", "X-Accel-Buffering: no", "Content-Type: text/event-stream", "Connection: close")
            line.sendall("\r\n".join((*head, "", "first")).encode())
            self.go_on.wait(60)
            line.sendall(b"second")


class TestTheSampleAlone:
    """Tests that need no site behind it."""

    def test_pieces_are_passed_on_at_once_and_no_lie_is(self, tmp_path: Path) -> None:
        behind = Behind()
        front = Nginx(tmp_path / "nginx", behind.socket.getsockname()[1], sample=True)
        try:
            with front.line() as line:
                lies = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in LIES.items())
                line.sendall(f"GET /stream HTTP/1.1\r\nHost: {NAME}\r\n{lies}\r\n".encode())
                heard = b""
                while b"first" not in heard:
                    piece = line.recv(4000)
                    assert piece, heard
                    heard += piece
                behind.go_on.set()
                while b"second" not in heard:
                    piece = line.recv(4000)
                    assert piece, heard
                    heard += piece
        finally:
            front.end()
            behind.socket.close()
        told = dict(line.split(": ", 1) for line in behind.head.decode().strip().split("\r\n")[1:])
        assert told == {"Host": NAME, "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https"}

    def test_no_log_has_a_key(self, tmp_path: Path) -> None:
        """Even if the site is down, when nginx logs whole URLs; without TLS; and for other names."""
        away = {"server 127.0.0.1:8000": "server unix:/nowhere/oasst.socket"}  # an error that nginx calls critical
        front = Nginx(tmp_path / "nginx", 8000, sample=True, changes=away)
        try:
            for path in paths_with_keys():
                assert front.ask(path).status == 502, path
                for port_and_host in ((front.plain, NAME), (front.plain, "evil.example")):
                    ask_without_tls(*port_and_host, path)
                with front.line() as line:
                    line.sendall(f"GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode())
                    assert line.recv(1) == b""
            assert front.ask("/terms/?words=1").status == 502
        finally:
            front.end()
        written = front.logs()
        assert KEY not in written, [line for line in written.splitlines() if KEY in line]
        assert '"GET /accounts/confirm-email/..." 502' in written and '"GET /accounts/link/" 502' in written
        assert '"GET /terms/" 502' in written and "connect() to unix:/nowhere" in written, "the rest is told"

    def test_a_head_that_does_not_end_is_cut_off(self, tmp_path: Path) -> None:
        soon = {"client_header_timeout 10s": "client_header_timeout 1s"}
        front = Nginx(tmp_path / "nginx", 9, sample=True, changes=soon)
        try:
            with front.line() as line:
                line.sendall(b"GET / HTTP/1.1\r\nHost: " + NAME.encode())
                while line.recv(4000):  # until it is closed; an open connection ends in a TimeoutError
                    pass
        finally:
            front.end()
