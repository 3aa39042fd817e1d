"""The web server while a response is made and read: speed, timeouts and errors."""

import http.client
import json
import select
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from oasst.embedded import processes
from tests.operations.test_web import QUICK, WEBSOCKET, Server, everything

SCRIPT = """
import asyncio, json, sys
import twisted.web.http
from oasst import web
from oasst.core.http.connection_limits import Deadlines
from twisted.internet import reactor

def unasked(*args):
    raise AssertionError("nobody asked for this")

twisted.web.http.parse_qs = twisted.web.http.combinedLogFormatter = unasked
web.STALLED_SECONDS = 1
web.DRAIN_SECONDS = 1000

sent, told, cut_off = 0, {}, web.BoundedRequest._cut_off

def cut_off_and_tell(request):
    told.setdefault(request.path.decode(), sent)
    cut_off(request)

web.BoundedRequest._cut_off = cut_off_and_tell

async def socket(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close"})
    try:
        await send({"type": "websocket.send", "text": "One more thing"})
        told["/socket"] = "taken"
    except Exception as error:
        told["/socket"] = repr(error)

async def application(scope, receive, send):
    global sent
    if scope["type"] == "websocket":
        return await socket(receive, send)
    path = scope["path"]
    if path == "/crash":
        raise RuntimeError("a bug")
    if path == "/late":
        await asyncio.sleep(1000)
    if path == "/v1/chat/completions":
        print("in work", flush=True)
        await asyncio.sleep(1000 if b"long" in scope["query_string"] else 5)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = {"type": "http.response.body", "more_body": True}
    if path == "/breaks":
        await send({**more, "body": b"beginning"})
        raise RuntimeError("a bug in the middle")
    if path == "/pieces":
        for sent in range(1000):
            await send({**more, "body": b"x" * 100_000})
        told["/pieces ended"] = sent
    if path == "/slow":
        for _ in range(5):
            await send({**more, "body": b"piece "})
            await asyncio.sleep(1)
    told["timers"] = len(reactor.getDelayedCalls())
    body = {"/large": b"x" * 50_000_000, "/told": json.dumps(told).encode()}.get(path, b"end")
    await send({"type": "http.response.body", "body": body})

web.SiteServer(
    application=application,
    endpoints=["fd:fileno=" + sys.argv[1]],
    server_name="oasst",
    http_timeout=1,
    deadlines=Deadlines(head=1000, idle=1000, draining=1),
).run()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with short timeouts for responses and their readers."""
    one = Server(script=SCRIPT)
    yield one
    one.end()


def wait_for_the_cut(line: socket.socket) -> None:
    """Without reading: the operating system reports the aborted connection."""
    poll = select.poll()
    poll.register(line, 0)
    assert poll.poll(60_000), "it is still open"


def told_by(server: Server) -> dict[str, Any]:
    """Return the sent bytes of a canceled response, the fate of the last WebSocket message, and the timers."""
    found: dict[str, Any] = json.loads(server.ask("/told").read())
    return found


def ask(server: Server, path: str) -> socket.socket:
    line = server.connect()
    line.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    return line


def test_a_query_and_a_form_are_left_to_django(server: Server) -> None:
    """And no log line is written."""
    head = b"POST /?a=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
    form = head + b"Content-Type: application/x-www-form-urlencoded\r\n\r\nb=2"
    with server.connect() as line:
        line.sendall(form + form + QUICK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert everything(line).count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.slow
class TestPace:
    def test_a_stream_is_no_longer_than_its_reader_takes(self, server: Server) -> None:
        """A client that reads nothing is cut off."""
        with ask(server, "/pieces") as line:
            wait_for_the_cut(line)
        assert told_by(server)["/pieces"] < 500, "of 1000 pieces: the rest would lie in memory"
        assert processes.wait_until(lambda: "/pieces ended" in told_by(server), 60), "who made them heard of the end"

    def test_a_reader_who_takes_it_gets_all_of_it(self, server: Server) -> None:
        assert len(server.ask("/pieces").read()) == 100_000_003

    def test_the_rest_of_an_answer(self, server: Server) -> None:
        """After the last piece the connection waits for its reader, but not forever."""
        with ask(server, "/large") as line:
            wait_for_the_cut(line)
        assert len(server.ask("/large").read()) == 50_000_000


@pytest.mark.slow
class TestWhatFails:
    def test_before_an_answer_has_begun(self, server: Server) -> None:
        with ask(server, "/crash") as line:
            answer = everything(line)
        assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert b"frame-ancestors 'none'" in answer and b"nosniff" in answer and b"daphne" not in answer.lower()

    def test_in_the_middle_of_an_answer(self, server: Server) -> None:
        """The connection breaks, so that no client takes the response for complete; and so do the next ones."""
        for _ in range(2):
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                server.ask("/breaks").read()

    def test_a_socket_that_was_closed(self, server: Server) -> None:
        """Messages after its end are dropped without an error."""
        with server.connect() as line:
            line.sendall(WEBSOCKET)
            assert line.recv(1000).startswith(b"HTTP/1.1 101 ")
            assert processes.wait_until(lambda: "/socket" in told_by(server), 60)
        assert told_by(server)["/socket"] == "taken"


@pytest.mark.slow
class TestLimitOfTime:
    def test_it_is_for_the_first_byte(self, server: Server) -> None:
        """Those who wait for the model are not cut off: their turn has its own deadline."""
        found: dict[str, tuple[int, bytes]] = {}

        def fetch(path: str) -> None:
            answer = server.ask(path)
            found[path] = (answer.status, answer.read())

        callers = [threading.Thread(target=fetch, args=[path]) for path in ("/late", "/slow", "/v1/chat/completions")]
        for one in callers:
            one.start()
        for one in callers:
            one.join(60)
        assert found["/slow"] == (200, b"piece " * 5 + b"end")
        assert found["/v1/chat/completions"] == (200, b"end")
        status, page = found["/late"]
        assert status == 503 and b"<h1>503 Service Unavailable</h1>" in page

    def test_who_waits_for_the_model_is_not_waited_for(self) -> None:
        ending = Server(script=SCRIPT)
        try:
            with ask(ending, "/v1/chat/completions?long"):
                assert ending.process.stdout and ending.process.stdout.readline() == "in work\n"
                ending.process.send_signal(signal.SIGTERM)
                assert ending.process.wait(60) == 0
        finally:
            ending.end()


@pytest.mark.slow
def test_nothing_is_kept_of_a_connection_that_is_gone(server: Server) -> None:
    before = told_by(server)["timers"]
    lines = [server.connect() for _ in range(50)]
    assert processes.wait_until(lambda: told_by(server)["timers"] >= before + 50, 60)
    for line in lines:
        line.close()
    assert processes.wait_until(lambda: told_by(server)["timers"] < before + 10, 60)


@pytest.mark.slow
def test_after_a_refusal_nothing_more_is_heard(server: Server) -> None:
    with server.connect() as line:
        line.sendall(b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n" + QUICK * 3)
        answer = everything(line, QUICK)
    assert answer.startswith(b"HTTP/1.1 501 ") and answer.count(b"HTTP/1.1") == 1


@pytest.mark.slow
def test_a_body_that_grew_too_large_is_refused_once(server: Server) -> None:
    """However many further chunks came with the one that was too much."""
    large, small = b"%x\r\n" % 4_999_950 + b"x" * 4_999_950 + b"\r\n", b"64\r\n" + b"x" * 100 + b"\r\n"
    with server.connect() as line:
        line.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        line.sendall(large + small * 400)
        assert everything(line).count(b"HTTP/1.1 413 ") < 2  # none if it was lost because of what followed
