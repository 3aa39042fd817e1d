"""The web server's calm end: answers in work are finished, streams are cut, what runs beside is stopped.

And its bounds: what one caller may make it hold.
"""

import http.client
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from oasst.services import processes
from oasst.services.sockets import listen
from tests.services.homes import ROOT

SERVER = """
import asyncio, sys
from oasst.web import SiteServer
from oasst.core import shutdown

async def application(scope, receive, send):
    start = {"type": "http.response.start", "status": 200, "headers": []}
    if scope["path"] == "/slow":
        print("in work", flush=True)
        await asyncio.sleep(1.5)
        await send(start)
        await send({"type": "http.response.body", "body": b"finished"})
    else:
        await send(start)
        for _ in range(10_000):
            await send({"type": "http.response.body", "body": b"token ", "more_body": True})
            await asyncio.sleep(0.05)

shutdown.on_shutdown(lambda: print("hook", flush=True))
shutdown.on_shutdown(lambda: 1 / 0)
SiteServer(application=application, endpoints=["fd:fileno=" + sys.argv[1]], server_name="oasst").run()
"""


class Server:
    def __init__(self) -> None:
        self.socket = listen("127.0.0.1", 0)
        self.port: int = self.socket.getsockname()[1]
        descriptor = self.socket.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(descriptor)],
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

    def send(self, head: bytes, part: bytes, number: int) -> tuple[bytes, int]:
        """The first line of the answer to a POST of so many parts, and how many of them were taken."""
        sent = 0
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as line:
            line.sendall(b"POST /slow HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n")
            try:
                for _ in range(number):
                    line.sendall(part)
                    sent += 1
                    if select.select([line], [], [], 0)[0]:
                        break
                return line.recv(1000).partition(b"\r\n")[0], sent
            except ConnectionError:
                return b"", sent


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.socket.close()
    one.process.kill()
    one.process.wait()


def test_the_next_connection_is_left_to_who_has_time() -> None:
    """Of several processes on one socket the first to wake up would take all that wait."""
    from oasst import web  # late: importing it installs the reactor

    class Port:
        numberAccepts = 100
        taken: list[int] = []

        def doRead(self) -> None:
            self.taken.append(self.numberAccepts)
            self.numberAccepts += 20

    port = Port()
    web._take_one_at_a_time(port)
    port.doRead()
    port.doRead()
    assert port.taken == [1, 1]


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
    # Announced, not sent: nothing is in the way of the answer.
    assert server.send(b"Content-Length: 300000000", PART, 0)[0] == b"HTTP/1.1 413 Content Too Large"


@pytest.mark.slow
def test_what_a_form_may_hold_is_taken(server: Server) -> None:
    assert server.send(b"Content-Length: 4000000", PART, 40) == (b"HTTP/1.1 200 OK", 40)
