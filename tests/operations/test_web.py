"""The web server stops gracefully: it finishes responses, cuts streams and stops its background work.

Also its limits: what one client can make it hold.
"""

import contextlib
import http.client
import json
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from oasst.embedded import processes
from oasst.embedded.sockets import listen, listen_shared
from tests.embedded.homes import ROOT

SERVER = """
import asyncio, os, sys, threading
from oasst.web import SiteServer
from oasst.core import shutdown
from oasst.core.http.connection_limits import ConnectionLimiter, Deadlines

async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await asyncio.sleep(1000)
    start = {"type": "http.response.start", "status": 200, "headers": []}
    if scope["path"] == "/slow":
        print("in work", flush=True)
        await asyncio.sleep(1.5)
        await send(start)
        await send({"type": "http.response.body", "body": b"finished"})
    elif scope["path"] == "/pid":
        await send(start)
        await send({"type": "http.response.body", "body": b"pid %d." % os.getpid()})
    elif scope["path"] == "/threads":
        for _ in range(33):  # more than the loop ever has
            asyncio.get_running_loop().run_in_executor(None, hold)
        await send(start)
        await send({"type": "http.response.body", "body": b"held"})
    elif scope["path"] == "/quick":
        await send(start)
        await send({"type": "http.response.body", "body": b"quick"})
    else:
        await send(start)
        for _ in range(10_000):
            await send({"type": "http.response.body", "body": b"token ", "more_body": True})
            await asyncio.sleep(0.05)

hooked = threading.Event()

def hold():
    if not hooked.wait(15):
        print("in vain", flush=True)

shutdown.on_shutdown(hooked.set)
shutdown.on_shutdown(lambda: print("hook", flush=True))
shutdown.on_shutdown(lambda: 1 / 0)
limiter = ConnectionLimiter(int(sys.argv[3]), spares_this_machine=False)
bounds = {"deadlines": Deadlines(**eval(sys.argv[2])), "limiter": limiter}
SiteServer(application=application, endpoints=["fd:fileno=" + sys.argv[1]], server_name="oasst", **bounds).run()
"""


class Server:
    def __init__(
        self,
        deadlines: dict[str, float] | None = None,
        most: int = 0,
        script: str = SERVER,
        listener: socket.socket | None = None,
    ) -> None:
        self.socket = listener or listen("127.0.0.1", 0)
        self.port: int = self.socket.getsockname()[1]
        self._arguments = [script, str(self.socket.fileno()), repr(deadlines or {}), str(most)]
        self.start()

    def start(self) -> None:
        descriptor = self.socket.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "-c", *self._arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=[descriptor],
        )

    def ask(self, path: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path)
        return connection.getresponse()

    def send(self, head: bytes, part: bytes, number: int, path: bytes = b"/slow") -> tuple[bytes, int]:
        """Return the status line of the response to a POST of that many parts, and how many of them were taken."""
        sent = 0
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as line:
            line.sendall(b"POST %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n" % (path, head))
            try:
                for _ in range(number):
                    line.sendall(part)
                    sent += 1
                    if select.select([line], [], [], 0)[0]:
                        break
                return line.recv(1000).partition(b"\r\n")[0], sent
            except ConnectionError:
                return b"", sent

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60, source_address=(source, 0))

    def end(self) -> None:
        self.socket.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.end()


@pytest.fixture(scope="module")
def strict() -> Iterator[Server]:
    """A server with short timeouts, which takes three connections of an address."""
    one = Server({"head": 1, "idle": 1.5, "body": 1, "pace": 50_000}, most=3)
    yield one
    one.end()


def everything(line: socket.socket, drop: bytes = b"", every: float = 0.2) -> bytes:
    """Return what comes until the server closes the connection, while `drop` is sent again and again."""
    found = b""
    try:
        while True:
            if drop:
                line.sendall(drop)
            if drop and not select.select([line], [], [], every)[0]:
                continue
            if not (part := line.recv(10_000)):
                return found
            found += part
    except ConnectionError:
        return found


def test_invented_methods_are_refused(server: Server) -> None:
    """Each would become a label of the metrics and stay there."""
    with socket.create_connection(("127.0.0.1", server.port), 60) as line:
        line.sendall(b"BREW /quick HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = everything(line)
        assert answer.startswith(b"HTTP/1.1 501 ") and b"<h1>501 Not Implemented</h1>" in answer


@pytest.mark.slow
class TestSeveralProcesses:
    """Each has a socket of its own, which stays open after it ends."""

    CALLERS = 40
    PID = b"GET /pid HTTP/1.1\r\nHost: localhost\r\n\r\n"

    @pytest.fixture
    def servers(self) -> Iterator[list[Server]]:
        both = [Server(listener=one) for one in listen_shared("127.0.0.1", 0, 2)]
        yield both
        for one in both:
            one.end()

    def call(self, server: Server, stack: contextlib.ExitStack) -> list[socket.socket]:
        """Return that many connections that have sent a request and not read the response."""
        lines = [stack.enter_context(server.connect()) for _ in range(self.CALLERS)]
        for line in lines:
            line.sendall(self.PID)
        return lines

    def who_answered(self, lines: list[socket.socket]) -> list[int]:
        found = []
        for line in lines:
            answer = b""
            while not (said := re.search(rb"pid (\d+)\.", answer)):
                part = line.recv(1000)
                assert part, "the connection was closed without an answer"
                answer += part
            found.append(int(said[1]))
        return found

    def test_callers_wait_for_the_successor_of_a_killed_one(self, servers: list[Server]) -> None:
        dead, alive = servers
        with contextlib.ExitStack() as stack:
            before = Counter(self.who_answered(self.call(dead, stack)))
            assert set(before) == {dead.process.pid, alive.process.pid}, "both have callers"
        dead.process.kill()
        dead.process.wait()
        with contextlib.ExitStack() as stack:
            lines = self.call(dead, stack)
            # The other server answers its own meanwhile; none is refused or reset.
            assert processes.wait_until(lambda: bool(select.select(lines, [], [], 0)[0]), 60)
            dead.start()
            after = Counter(self.who_answered(lines))
        assert set(after) == {dead.process.pid, alive.process.pid}

    def test_callers_who_wait_are_answered_when_one_ends_in_good_order(self, servers: list[Server]) -> None:
        """As for a manual restart: it closes its own copy of the socket, and not the socket."""
        ending, other = servers
        with contextlib.ExitStack() as stack:
            self.who_answered(self.call(ending, stack))
        ending.process.send_signal(signal.SIGTERM)
        assert ending.process.wait(60) == 0
        with contextlib.ExitStack() as stack:
            lines = self.call(ending, stack)
            ending.start()
            assert set(self.who_answered(lines)) == {ending.process.pid, other.process.pid}


@pytest.mark.slow
def test_request_in_work_gets_its_answer(server: Server) -> None:
    bodies: list[bytes] = []
    caller = threading.Thread(target=lambda: bodies.append(server.ask("/slow").read()))
    caller.start()
    assert server.process.stdout
    assert server.process.stdout.readline() == "in work\n"
    server.process.send_signal(signal.SIGTERM)
    caller.join(30)
    assert bodies == [b"finished"]
    output = server.process.stdout.read()
    assert server.process.wait(30) == 0
    assert output.count("hook\n") == 1, "a hook that fails does not keep the others from running"


@pytest.mark.slow
def test_who_comes_while_it_ends_waits_for_the_successor(server: Server) -> None:
    caller = threading.Thread(target=lambda: server.ask("/slow").read())
    caller.start()
    assert server.process.stdout
    assert server.process.stdout.readline() == "in work\n"
    server.process.send_signal(signal.SIGTERM)

    def is_answered() -> bool:
        with server.connect() as line:
            line.sendall(QUICK)
            return bool(select.select([line], [], [], 0.3)[0])

    while is_answered():
        pass  # until the signal has arrived
    assert caller.is_alive(), "it took callers as long as it had work"
    caller.join(30)
    assert server.process.wait(30) == 0


@pytest.mark.slow
def test_hooks_do_not_wait_for_threads_that_wait_for_the_database(server: Server) -> None:
    assert server.ask("/threads").read() == b"held"
    server.process.send_signal(signal.SIGTERM)
    assert server.process.stdout
    output = server.process.stdout.read()
    assert "hook\n" in output and "in vain" not in output
    assert server.process.wait(30) == 0


@pytest.mark.slow
def test_stream_is_not_waited_for(server: Server) -> None:
    answer = server.ask("/stream")
    assert answer.read(6) == b"token "
    server.process.send_signal(signal.SIGTERM)
    assert processes.wait_until(lambda: server.process.poll() is not None, 30)
    assert server.process.returncode == 0


PART = b"x" * 100_000
CHUNK = b"186a0\r\n" + PART + b"\r\n"


@pytest.mark.slow
def test_a_body_that_is_too_large_is_not_taken(server: Server) -> None:
    answer, sent = server.send(b"Content-Length: 300000000", PART, 3000)
    assert answer in (b"HTTP/1.1 413 Content Too Large", b"") and sent < 100
    answer, sent = server.send(b"Transfer-Encoding: chunked", CHUNK, 3000)
    assert answer in (b"HTTP/1.1 413 Content Too Large", b"") and sent < 200
    # Announced, not sent: nothing delays the response.
    assert server.send(b"Content-Length: 300000000", PART, 0)[0] == b"HTTP/1.1 413 Content Too Large"


@pytest.mark.slow
def test_what_a_form_may_hold_is_taken(server: Server) -> None:
    assert server.send(b"Content-Length: 4000000", PART, 40) == (b"HTTP/1.1 200 OK", 40)


@pytest.mark.slow
def test_bodies_in_tiny_chunks(server: Server) -> None:
    """Reading them blocks all other clients. Programs send chunks of a line or so."""

    def answer(chunk: bytes, number: int) -> bytes:
        body = (b"%x\r\n%s\r\n" % (len(chunk), chunk)) * number + b"0\r\n\r\n"
        return server.send(b"Transfer-Encoding: chunked", body, 1, b"/quick")[0]

    assert answer(b"x", 1000) == answer(b"x" * 70, 5000) == b"HTTP/1.1 200 OK"
    assert answer(b"x", 1100) == b"HTTP/1.1 400 Bad Request"


WEBSOCKET = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
QUICK = b"GET /quick HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /quick HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.slow
class TestDeadlines:
    """Slow clients: head and body must arrive in time, however they come."""

    def test_a_head_byte_by_byte(self, strict: Server) -> None:
        with strict.connect() as line:
            line.sendall(b"GET /quick HTTP/1.1\r\nX-Long: ")
            assert everything(line, b"x").startswith(b"HTTP/1.1 408 Request Timeout\r\n")

    def test_lines_without_end(self, strict: Server) -> None:
        with strict.connect() as line:
            line.sendall(b"GET /quick HTTP/1.1\r\n")
            assert everything(line, b"X: y\r\n").startswith(b"HTTP/1.1 408 ")

    def test_nothing_at_all(self, strict: Server) -> None:
        with strict.connect() as line:
            assert everything(line) == b""

    @pytest.mark.parametrize(
        ("head", "drop"),
        [(b"Content-Length: 4000000", b"x"), (b"Transfer-Encoding: chunked", b"1\r\nx\r\n")],
        ids=["length", "chunks"],
    )
    def test_a_body_byte_by_byte(self, strict: Server, head: bytes, drop: bytes) -> None:
        with strict.connect() as line:
            line.sendall(POST + head + b"\r\n\r\n")
            assert everything(line, drop).startswith(b"HTTP/1.1 408 ")

    def test_a_body_on_a_slow_line_that_goes_on(self, strict: Server) -> None:
        """Longer than the first second, but faster than the minimum speed."""
        with strict.connect() as line:
            line.sendall(POST + b"Content-Length: 400000\r\nConnection: close\r\n\r\n")
            for _ in range(4):
                line.sendall(PART)
                select.select([line], [], [], 0.5)  # the speed of the connection
            answer = everything(line)
        assert answer.startswith(b"HTTP/1.1 200 OK") and b"quick" in answer

    def test_a_kept_connection(self, strict: Server) -> None:
        """It takes the next requests, also several at once, and ends if none comes, or only byte by byte."""
        with strict.connect() as line:
            for number in (1, 3):
                line.sendall(QUICK * number)
                found = b""
                while found.count(b"quick") < number:
                    found += line.recv(10_000)
                assert found.count(b"200 OK") == number
            line.sendall(b"GET /qui")
            assert everything(line, b"x").startswith(b"HTTP/1.1 408 ")
        with strict.connect() as line:
            line.sendall(QUICK)
            assert everything(line).count(b"200 OK") == 1

    def test_an_answer_takes_its_time(self, strict: Server) -> None:
        """The deadlines are for the client. The response here takes longer than any of them."""
        with strict.connect() as line:
            line.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert b"finished" in everything(line)


@pytest.mark.slow
class TestConnectionsOfOneAddress:
    def test_there_is_a_bound(self, strict: Server) -> None:
        """For WebSockets and streams as for pages, for no other address, and only while they are open."""
        with contextlib.ExitStack() as open_ones:
            lines = [open_ones.enter_context(strict.connect("127.0.0.9")) for _ in range(3)]
            lines[0].sendall(WEBSOCKET)
            assert lines[0].recv(1000).startswith(b"HTTP/1.1 101 ")
            for line in lines[1:]:
                line.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert line.recv(1000).startswith(b"HTTP/1.1 200 ")
            with strict.connect("127.0.0.9") as fourth:
                answer = everything(fourth)
                assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n")
            with strict.connect("127.0.0.10") as somebody_else:
                somebody_else.sendall(QUICK)
                assert somebody_else.recv(1000).startswith(b"HTTP/1.1 200 ")

        def is_taken() -> bool:
            with strict.connect("127.0.0.9") as again:
                again.sendall(QUICK)
                with contextlib.suppress(ConnectionError):
                    return again.recv(1000).startswith(b"HTTP/1.1 200 ")
                return False

        assert processes.wait_until(is_taken, 60), "connections that are closed do not count"


@pytest.mark.slow
@pytest.mark.parametrize(
    "first_line", [b"GET /quick HTTP/1.1\r\nBad name: x", b"GET /\xff HTTP/1.1", b"GET /?\xff HTTP/1.1", b"nonsense"]
)
def test_refusals_of_the_server_itself(strict: Server, first_line: bytes) -> None:
    """Before Django runs: no scripts, no framing, no name of the server."""
    with strict.connect() as line:
        line.sendall(first_line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = everything(line)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"frame-ancestors 'none'" in answer and b"nosniff" in answer
    for word in (b"daphne", b"twisted", b"python", b"django", b"autobahn"):
        assert word not in answer.lower()


SOCKETS = """
import asyncio, json, sys, types
from oasst import web

# The clock goes on by so much with each frame.
step, now, heard, listening = 0.0, 100.0, {}, asyncio.Event()

def monotonic():
    global now
    now += step
    return now

web.time = types.SimpleNamespace(monotonic=monotonic)
web.STALLED_SECONDS = 1

sent, cut_off = 0, web.BoundedWebSocket._cut_off

def cut_off_and_tell(socket):
    heard.setdefault("/paced", sent)
    cut_off(socket)

web.BoundedWebSocket._cut_off = cut_off_and_tell

async def application(scope, receive, send):
    global step, sent
    path, number = scope["path"], 0
    await receive()
    if scope["type"] == "http":
        if path == "/listen":
            listening.set()
        elif path != "/heard":
            step = float(path[1:])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(heard).encode()})
        return
    if path != "/unanswered":
        await send({"type": "websocket.accept"})
    if path == "/deaf":
        await listening.wait()
    if path.startswith("/unread"):
        await send({"type": "websocket.send", "text": "x" * 20_000_000})
    if path == "/paced":
        heard.pop(path, None)
        for sent in range(100):
            await send({"type": "websocket.send", "text": "x" * 1_000_000})
        return
    while (message := await receive())["type"] == "websocket.receive":
        number += 1
        await send({"type": "websocket.send", "text": message["text"] * (100 if path == "/long" else 1)})
    heard[path] = number

web.SiteServer(application=application, endpoints=["fd:fileno=" + sys.argv[1]], server_name="oasst").run()
"""
TEXT, PING, GOODBYE, PART_OF_A_TEXT, NEXT_PART = 0x81, 0x89, 0x88, 0x01, 0x00
STOP = b'{"type": "stop"}'


def frame(kind: int, payload: bytes = b"") -> bytes:
    """Return a frame as a browser sends it, with a mask that changes nothing."""
    short = len(payload) < 126
    length = bytes([0x80 | len(payload)]) if short else bytes([0x80 | 126]) + struct.pack(">H", len(payload))
    return bytes([kind]) + length + bytes(4) + payload


@pytest.fixture(scope="module")
def sockets() -> Iterator[Server]:
    """A server with its own clock, which echoes messages, and at the end how much it received."""
    one = Server(script=SOCKETS)
    yield one
    one.end()


@pytest.mark.slow
class TestSockets:
    """Clients only ever send "stop" and pongs. Much more would fill memory or block other clients."""

    def open(self, server: Server, path: str = "/ws") -> socket.socket:
        line = server.connect()
        line.sendall(WEBSOCKET.replace(b"/ws", path.encode()))
        assert line.recv(1000).startswith(b"HTTP/1.1 101 ")
        return line

    def read(self, line: socket.socket, size: int) -> bytes:
        found = b""
        while len(found) < size and (part := line.recv(size - len(found))):
            found += part
        return found

    def heard(self, server: Server, path: str) -> int:
        """Return how much the consumer received, once its WebSocket is closed."""
        found: dict[str, int] = {}
        assert processes.wait_until(lambda: path in found or found.update(json.loads(server.ask("/heard").read())), 60)
        return found[path]

    @pytest.mark.parametrize(
        ("name", "first", "flood"),
        [
            ("/texts", b"", frame(TEXT, STOP)),
            ("/nonsense", b"", frame(TEXT, b"x" * 1000)),
            ("/pings", b"", frame(PING)),
            ("/parts", frame(PART_OF_A_TEXT, b"x"), frame(NEXT_PART)),
        ],
    )
    def test_a_flood_ends_the_connection(self, sockets: Server, name: str, first: bytes, flood: bytes) -> None:
        with self.open(sockets, name) as line:
            sent, many = 0, flood * 1000
            line.sendall(first)
            with contextlib.suppress(ConnectionError):
                while sent < 100_000_000:
                    line.sendall(many)
                    sent += len(many)
            assert sent < 100_000_000, "more than any buffer between us holds"
        assert self.heard(sockets, name) <= 20
        with self.open(sockets) as line:
            line.sendall(frame(TEXT, STOP))
            assert self.read(line, 2 + len(STOP)).endswith(STOP), "others are served"

    def test_how_many_frames(self, sockets: Server) -> None:
        with self.open(sockets) as line:
            line.sendall(frame(PING) * 20)
            assert self.read(line, 40) == b"\x8a\x00" * 20
            line.sendall(frame(PING))
            assert everything(line) == b""

    def test_honest_callers(self, sockets: Server) -> None:
        """A ping each 20 seconds for hours, of the browser or of a proxy, and "stop" at the end."""
        sockets.ask("/20").read()
        with self.open(sockets) as line:
            line.sendall(frame(PING) * 500)
            assert self.read(line, 1000) == b"\x8a\x00" * 500
            line.sendall(frame(TEXT, STOP))
            assert self.read(line, 2 + len(STOP)).endswith(STOP)
        sockets.ask("/0").read()

    def test_what_waits_for_the_consumer(self, sockets: Server) -> None:
        with self.open(sockets, "/deaf") as line:
            line.sendall(frame(TEXT, STOP) * 10 + frame(PING))
            assert self.read(line, 2) == b"\x8a\x00"
            line.sendall(frame(TEXT, STOP))
            assert everything(line) == b""
        sockets.ask("/listen").read()
        assert self.heard(sockets, "/deaf") == 10

    def test_large_messages(self, sockets: Server) -> None:
        with self.open(sockets) as line:
            line.sendall(frame(TEXT, b"x" * 1024))
            assert self.read(line, 1028).endswith(b"x" * 1024)
            line.sendall(frame(TEXT, b"x" * 1025))
            assert everything(line) == b""
        with self.open(sockets) as line:
            line.sendall(frame(PART_OF_A_TEXT, b"x" * 1000) + frame(NEXT_PART, b"x" * 1000))
            assert everything(line) == b""

    def test_long_answers(self, sockets: Server) -> None:
        """Messages to the reader have no such limit."""
        with self.open(sockets, "/long") as line:
            line.sendall(frame(TEXT, b"x" * 1000))
            assert self.read(line, 100_010) == b"\x81\x7f" + struct.pack(">Q", 100_000) + b"x" * 100_000

    def test_what_comes_before_it_is_answered(self, sockets: Server) -> None:
        unanswered = WEBSOCKET.replace(b"/ws", b"/unanswered")
        with sockets.connect() as line:
            line.sendall(unanswered)
            assert everything(line, WEBSOCKET).startswith(b"HTTP/1.1 403 ")
        with sockets.connect() as line:
            body = frame(TEXT, STOP) * 1000
            line.sendall(unanswered[:-2] + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            assert everything(line).startswith(b"HTTP/1.1 403 ")

    def test_a_reader_who_takes_nothing(self, sockets: Server) -> None:
        with self.open(sockets, "/unread"):
            assert self.heard(sockets, "/unread") == 0, "its consumer was told that it is gone"

    def test_a_reader_who_takes_nothing_and_says_goodbye(self, sockets: Server) -> None:
        with self.open(sockets, "/unread-goodbye") as line:
            line.sendall(frame(GOODBYE, struct.pack(">H", 1000)))
            assert self.heard(sockets, "/unread-goodbye") == 0, "nor is what was sent kept for them"

    def test_a_consumer_says_no_more_than_its_reader_takes(self, sockets: Server) -> None:
        with self.open(sockets, "/paced"):
            assert self.heard(sockets, "/paced") < 50, "of 100, when it was cut off: the rest would lie in memory"
