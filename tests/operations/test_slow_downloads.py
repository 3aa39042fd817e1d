"""Long answers are sent to a few clients at a time, and one that reads too slowly keeps nobody else from them."""

import socket
import time
from collections.abc import Iterator

import pytest

from oasst.embedded import processes
from tests.operations.test_web import Server, everything

SIZE = 64 * 1024 * 400
# A real server, a real socket and the real stream: only the clock of slow readers runs faster.
SCRIPT = f"""
import sys
import django
django.setup()
from asgiref.sync import sync_to_async
from django.http import HttpRequest
from oasst import web
from oasst.api import streams
from oasst.core.errors import Busy

streams.STALLED_SECONDS, streams.PATIENCE_SECONDS, streams.PACE = 1, 5, 1_000_000_000

def chunks():
    for _ in range({SIZE} // 65536):
        yield b"x" * 65536

async def application(scope, receive, send):
    status, response = 200, []
    if scope["path"] == "/file":
        request = HttpRequest()
        request.scope = scope
        try:
            response = await sync_to_async(streams.stream_file)(chunks(), "application/zip", request)
        except Busy:
            status = 503
    await send({{"type": "http.response.start", "status": status, "headers": []}})
    if status == 200 and response:
        async for chunk in response:
            await send({{"type": "http.response.body", "body": chunk, "more_body": True}})
    await send({{"type": "http.response.body", "body": b""}})

web.SiteServer(application=application, endpoints=["fd:fileno=" + sys.argv[1]], server_name="oasst").run()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    one = Server(script=SCRIPT)
    yield one
    one.end()


def begin(server: Server) -> socket.socket:
    line = server.connect()
    line.sendall(b"GET /file HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return line


def fetched(server: Server) -> tuple[int, int]:
    """Return status and length of the answer to a client that reads as fast as it can."""
    response = server.ask("/file")
    return response.status, len(response.read())


@pytest.mark.slow  # waits for the deadline of a client that reads nothing
def test_clients_that_read_nothing_keep_nobody_from_it(server: Server) -> None:
    with begin(server) as first, begin(server) as second:
        head = first.recv(100), second.recv(100)  # both have begun, and nothing more is read
        assert all(part.startswith(b"HTTP/1.1 200") for part in head)
        assert fetched(server)[0] == 503, "both slots are taken"
        assert processes.wait_until(lambda: fetched(server)[0] == 200, 60)
        for line in (first, second):
            assert len(everything(line)) < SIZE, "it breaks off, so that nobody takes it for complete"


@pytest.mark.slow  # as above
def test_nor_one_that_always_reads_a_little(server: Server) -> None:
    with begin(server) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        taken = 0
        try:
            while part := line.recv(256 * 1024):
                taken += len(part)
                time.sleep(0.2)  # the pace of this client
        except ConnectionError:
            pass
        assert 0 < taken < SIZE
    assert processes.wait_until(lambda: fetched(server) == (200, SIZE), 60)


def test_one_that_reads_gets_all_of_it(server: Server) -> None:
    assert fetched(server) == (200, SIZE)
