"""Responses without a body: to HEAD, and with a status that has none. A body would be read as the start of the next
response on the same connection.
"""

import http.client
import socket
from collections.abc import Iterator

import pytest

from tests.operations.test_web import Server

# The first part of the path is the status, the second the number of pieces, or pieces until the client leaves.
SCRIPT = """
import asyncio, sys
from oasst.web import SiteServer

told = 0

async def leave(receive):
    global told
    while (await receive())["type"] != "http.disconnect":
        pass
    told += 1

async def application(scope, receive, send):
    _, status, pieces, *length = scope["path"].split("/")
    headers = [[b"Content-Length", length[0].encode()]] if length else []
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    if pieces == "told":
        await send({"type": "http.response.body", "body": b"%d" % told})
    elif pieces == "endless":
        leaving = asyncio.create_task(leave(receive))
        while not leaving.done():
            await send({"type": "http.response.body", "body": b"HTTP/1.1 299 \\r\\n", "more_body": True})
            await asyncio.sleep(0.01)
    else:
        for number in range(int(pieces)):
            last = number == int(pieces) - 1
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": not last})

SiteServer(application=application, endpoints=["fd:fileno=" + sys.argv[1]], server_name="oasst").run()
"""


@pytest.fixture(scope="module")
def echo() -> Iterator[Server]:
    one = Server(script=SCRIPT)
    yield one
    one.end()


@pytest.fixture
def line(echo: Server) -> Iterator[socket.socket]:
    """One connection, on which a test sends all requests."""
    with echo.connect() as one:
        yield one


def ask(line: socket.socket, method: str, path: str) -> http.client.HTTPResponse:
    line.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    answer = http.client.HTTPResponse(line, method=method)
    answer.begin()
    return answer


@pytest.mark.parametrize("path", ["/200/1/65536", "/200/3/196608", "/200/3", "/404/3"])
def test_of_an_answer_the_head(line: socket.socket, path: str) -> None:
    """In one or several pieces, with a length or without; and the connection stays open."""
    for _ in range(2):
        got = ask(line, "GET", path)
        body = got.read()
        head = ask(line, "HEAD", path)
        assert (head.status, head.read()) == (got.status, b"")
        assert head.headers["Content-Length"] == got.headers["Content-Length"]
        assert len(body) == 65536 * int(path.split("/")[2])


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("rest", ["3", "3/196608", "endless"])
def test_statuses_without_a_body(line: socket.socket, status: int, rest: str) -> None:
    answer = ask(line, "GET", f"/{status}/{rest}")
    assert (answer.status, answer.read()) == (status, b"")
    assert ask(line, "GET", "/200/1").read() == b"x" * 65536


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_and_they_have_no_length(line: socket.socket, status: int, method: str) -> None:
    """RFC 9110, 8.6: no length at 204; at 304 only that of the response that is not sent."""
    assert ask(line, method, f"/{status}/1/0").headers["Content-Length"] is None
    assert ask(line, "GET", "/200/1").status == 200


def test_nothing_is_made_that_nobody_reads(line: socket.socket) -> None:
    """A stream would continue as long as its source has data, and block the next request."""
    before = int(ask(line, "GET", "/200/told").read())
    assert ask(line, "HEAD", "/200/endless").status == 200
    assert int(ask(line, "GET", "/200/told").read()) == before + 1
