"""Every status has its reason phrase in the status line, even those that are missing in twisted's list."""

from collections.abc import Iterator
from http import HTTPStatus

import pytest

from oasst.api.error_codes import ErrorCode
from tests.operations.test_web import Server

SCRIPT = """
import sys
from oasst.web import SiteServer

async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": int(scope["path"][1:]), "headers": []})
    await send({"type": "http.response.body", "body": b""})

SiteServer(application=application, endpoints=["fd:fileno=" + sys.argv[1]], server_name="oasst").run()
"""


@pytest.fixture(scope="module")
def echo() -> Iterator[Server]:
    """A server that answers with the status in the path."""
    one = Server(script=SCRIPT)
    yield one
    one.end()


def test_names_of_statuses(echo: Server) -> None:
    for status in HTTPStatus:
        if status >= 200:
            answer = echo.ask(f"/{status.value}")
            assert (answer.status, answer.reason) == (status.value, status.phrase)


def test_a_status_without_a_name(echo: Server) -> None:
    assert echo.ask("/299").status == 299


def test_each_number_of_the_wire_has_a_status_with_a_name() -> None:
    assert all(HTTPStatus(number.status).phrase for number in ErrorCode)
