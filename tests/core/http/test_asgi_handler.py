"""The ASGI handler: one thread per request, streams on the event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core import signals
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from oasst.core.http.asgi_handler import DeferredResponse, SingleThreadASGIHandler

# The end of a request closes the connection that an earlier test may have left in this thread.
pytestmark = pytest.mark.django_db
SEEN: dict[str, Any] = {}


def plain(request: HttpRequest) -> HttpResponse:
    SEEN["thread"] = threading.current_thread()
    return HttpResponse(request.body + b"!")


async def awaiting(request: HttpRequest) -> HttpResponse:
    SEEN["thread"] = threading.current_thread()
    await asyncio.sleep(0)
    return HttpResponse("awaited")


async def _pieces() -> AsyncIterator[str]:
    try:
        SEEN["thread"] = threading.current_thread()
        yield "one "
        await asyncio.sleep(SEEN["pause"])
        yield "two"
    finally:
        SEEN["ended"] = True


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(_pieces())


def crash(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("on purpose")


def later(request: HttpRequest) -> HttpResponse:
    """In as many chunks as a stream, with the cookie of the response that middleware saw."""

    async def coming() -> StreamingHttpResponse:
        SEEN["thread"] = threading.current_thread()
        try:
            await asyncio.sleep(SEEN["pause"])
            return StreamingHttpResponse(_pieces(), status=202)
        finally:
            SEEN["awaited"] = True

    answer = DeferredResponse(request, coming)
    answer.set_cookie("seen", "yes")
    return answer


def later_crash(request: HttpRequest) -> HttpResponse:
    async def coming() -> HttpResponse:
        raise RuntimeError("on purpose")

    return DeferredResponse(request, coming)


urlpatterns = [
    path("plain/", plain),
    path("awaiting/", awaiting),
    path("stream/", stream),
    path("crash/", crash),
    path("later/", later),
    path("later-crash/", later_crash),
]


def ask(url: str, body: bytes = b"", *, leave_after: float | None = None) -> list[dict[str, Any]]:
    """Return the messages to the server. The client stays, or disconnects after some seconds."""
    sent: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = [{"type": "http.request", "body": body}]

    async def receive() -> dict[str, Any]:
        if told:
            return told.pop()
        await asyncio.sleep(60 if leave_after is None else leave_after)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": "POST" if body else "GET", "path": url, "root_path": "", "headers": headers}

    async def act() -> None:
        await SingleThreadASGIHandler()({**scope, "query_string": b""}, receive, send)

    for name in ("ended", "awaited"):
        SEEN.pop(name, None)
    async_to_sync(act)()
    return sent


@pytest.fixture(autouse=True)
def _pages() -> Any:
    SEEN.update(pause=0)
    with override_settings(
        ROOT_URLCONF="tests.core.http.test_asgi_handler", MIDDLEWARE=["oasst.core.http.middleware.RequestLog"]
    ):
        yield


def content(sent: list[dict[str, Any]]) -> bytes:
    return b"".join(message.get("body", b"") for message in sent)


def test_a_view_runs_in_a_thread_and_not_on_the_event_loop() -> None:
    sent = ask("/plain/", b"hello")
    assert (sent[0]["status"], content(sent)) == (200, b"hello!")
    assert SEEN["thread"].name.startswith("request")


def test_an_async_view_runs_on_the_event_loop() -> None:
    assert content(ask("/awaiting/")) == b"awaited"
    assert not SEEN["thread"].name.startswith("request")


def test_a_crash_is_answered() -> None:
    assert ask("/crash/")[0]["status"] == 500


def test_a_stream_is_sent_to_its_end() -> None:
    sent = ask("/stream/")
    assert content(sent) == b"one two"
    assert not sent[-1].get("more_body") and SEEN["ended"]
    assert not SEEN["thread"].name.startswith("request")


def test_a_stream_ends_when_its_reader_leaves() -> None:
    SEEN["pause"] = 60
    assert content(ask("/stream/", leave_after=0.05)) == b"one "
    assert SEEN["ended"]


def test_an_answer_that_is_waited_for_holds_no_thread() -> None:
    sent = ask("/later/")
    assert (sent[0]["status"], content(sent)) == (202, b"one two")
    assert not SEEN["thread"].name.startswith("request")
    headers = dict(sent[0]["headers"])
    assert (
        headers[b"X-Request-ID"] and headers[b"Set-Cookie"].startswith(b"seen=yes") and b"Content-Length" not in headers
    )


def test_an_answer_that_is_waited_for_is_cancelled_when_its_reader_leaves() -> None:
    SEEN["pause"] = 60
    with capture_logs() as lines:
        assert ask("/later/", leave_after=0.05) == []
    assert SEEN["awaited"]
    assert [line["status"] for line in lines if line["event"] == "request"] == [499]


def test_the_log_tells_the_status_that_came() -> None:
    with capture_logs() as lines:
        ask("/later/")
        ask("/later-crash/")
    assert [line["status"] for line in lines if line["event"] == "request"] == [202, 500]


@override_settings(MIDDLEWARE=["oasst.core.http.middleware.ResponseMetrics"])
def test_the_metrics_tell_the_status_that_came() -> None:
    SEEN["pause"] = 60

    def counted() -> dict[str, float]:
        name, here = (
            "django_http_responses_total_by_status_view_method_total",
            "tests.core.http.test_asgi_handler.later",
        )
        return {
            status: REGISTRY.get_sample_value(name, {"status": status, "view": here, "method": "GET"}) or 0
            for status in ("200", "202", "499")
        }

    before = counted()
    ask("/later/", leave_after=0.05)
    SEEN["pause"] = 0
    ask("/later/")
    after = counted()
    assert {status: after[status] - before[status] for status in after} == {"200": 0, "202": 1, "499": 1}


def test_a_crash_while_waiting_is_answered() -> None:
    assert ask("/later-crash/")[0]["status"] == 500


def test_each_request_begins_and_finishes_once() -> None:
    told: list[str] = []

    def begun(**_: Any) -> None:
        told.append("begun")

    def finished(**_: Any) -> None:
        told.append("finished")

    signals.request_started.connect(begun)
    signals.request_finished.connect(finished)
    try:
        ask("/plain/")
        ask("/stream/")
        ask("/later/")
        ask("/later/", leave_after=0)
    finally:
        signals.request_started.disconnect(begun)
        signals.request_finished.disconnect(finished)
    assert told == ["begun", "finished"] * 4
