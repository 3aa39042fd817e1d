"""Responses for clients that accept gzip, and for others."""

import contextlib
import gzip
import http.client
import json
import re
import socket
import zlib
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, RequestFactory

from oasst.core.http.compression import MIN_BYTES, Compression, accepts_gzip, gzip_stream
from oasst.embedded.sockets import listen
from tests.crash.processes import START_SECONDS, serve, wait_until

PAGE = "/docs/"
DOOR = "/accounts/login/"


class Server:
    """The web server, with only the headers of the test."""

    def __init__(self, log: Path) -> None:
        self.socket = listen("127.0.0.1", 0)
        self.port: int = self.socket.getsockname()[1]
        self.process = serve(self.socket, log)
        wait_until(self._is_up, START_SECONDS, self.process.said)

    def _is_up(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask("/healthz")[0] == 200
        return False

    def ask(
        self, path: str, *lines: str, method: str = "GET", line: socket.socket | None = None
    ) -> tuple[int, Any, bytes]:
        """Return status, headers and raw body for a request with these header lines."""
        with contextlib.ExitStack() as stack:
            if line is None:
                line = stack.enter_context(socket.create_connection(("127.0.0.1", self.port), timeout=60))
            head = "\r\n".join((f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""))
            line.sendall(head.encode())
            answer = http.client.HTTPResponse(line, method=method)
            answer.begin()
            return answer.status, answer.headers, answer.read()

    def end(self) -> None:
        self.process.kill()
        self.socket.close()


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("METRICS_TOKEN", "s3cret")
        found = Server(tmp_path_factory.mktemp("compression") / "web.log")
    yield found
    found.end()


GZIP = "Accept-Encoding: gzip, deflate, br, zstd"


def the_same_each_time(page: bytes) -> bytes:
    """Remove the CSRF token and the request id, which differ between responses."""
    return re.sub(rb"\b[A-Za-z0-9]{64}\b|\b[0-9a-f]{32}\b", b"", page)


@pytest.mark.slow
@pytest.mark.django_db
class TestOverTheWire:
    @pytest.mark.parametrize("path", ["/", PAGE, "/api/v1/openapi.json", "/nothing/here/"])
    def test_pages_and_json(self, server: Server, path: str) -> None:
        status, headers, plain = server.ask(path)
        assert headers["Content-Encoding"] is None and "Accept-Encoding" in headers["Vary"]
        packed_status, packed_headers, packed = server.ask(path, GZIP)
        assert packed_status == status
        assert packed_headers["Content-Encoding"] == "gzip" and "Accept-Encoding" in packed_headers["Vary"]
        assert int(packed_headers["Content-Length"]) == len(packed) < len(plain) / 2
        assert the_same_each_time(gzip.decompress(packed)) == the_same_each_time(plain)

    @pytest.mark.parametrize(
        "lines",
        [
            ["Accept-Encoding: identity"],
            ["Accept-Encoding: br, zstd"],
            ["Accept-Encoding: gzip;q=0"],
            ["Accept-Encoding: gzip; q=0.000, *"],
            ["Accept-Encoding: "],
        ],
    )
    def test_who_does_not_take_it_gets_the_text(self, server: Server, lines: list[str]) -> None:
        _, headers, body = server.ask(PAGE, *lines)
        assert headers["Content-Encoding"] is None and b"<!doctype" in body

    def test_short_answers_are_sent_as_they_are(self, server: Server) -> None:
        for path in ("/healthz", "/api/v1/stats/"):
            _, headers, body = server.ask(path, GZIP)
            assert headers["Content-Encoding"] is None and len(body) < MIN_BYTES and json.loads(body)

    @pytest.mark.parametrize(("lines", "encoding"), [([GZIP], "gzip"), ([], None)])
    def test_a_head_and_the_next_request_on_the_same_connection(
        self, server: Server, lines: list[str], encoding: str | None
    ) -> None:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as line:
            for method in ("HEAD", "GET", "HEAD", "GET"):
                status, headers, body = server.ask(PAGE, *lines, method=method, line=line)
                assert (status, headers["Content-Encoding"]) == (200, encoding)
                assert len(body) == (int(headers["Content-Length"]) if method == "GET" else 0)
                assert encoding or int(headers["Content-Length"]) > 65536, "sent in more than one piece"

    def test_a_range_is_not_cut_out_of_the_packed_bytes(self, server: Server) -> None:
        status, _, body = server.ask(PAGE, GZIP, "Range: bytes=0-99")
        assert status == 200 and b"<!doctype" in gzip.decompress(body)

    def test_what_has_not_changed(self, server: Server) -> None:
        """Compressed and uncompressed responses have comparable ETags."""
        path = "/api/v1/openapi.json"
        tags = {server.ask(path, *lines)[1]["ETag"] for lines in ((), (GZIP,))}
        assert len(tags) == 1
        tag = tags.pop()
        assert tag.startswith('W/"')
        for lines in ([], [GZIP]):
            for known in (tag, tag.removeprefix("W/")):
                status, headers, body = server.ask(path, f"If-None-Match: {known}", *lines)
                assert (status, body, headers["Content-Encoding"], headers["ETag"]) == (304, b"", None, tag)
                assert "Accept-Encoding" in headers["Vary"]

    def test_the_length_tells_little(self, server: Server) -> None:
        """It contains random bytes, because https reveals lengths, and so the result of repeated guesses."""
        lengths = {int(server.ask("/api/v1/openapi.json", GZIP)[1]["Content-Length"]) for _ in range(20)}
        assert len(lengths) > 5

    def test_pages_with_secrets_are_not_packed(self, server: Server) -> None:
        status, headers, body = server.ask(DOOR, GZIP)
        assert (status, headers["Content-Encoding"]) == (200, None) and len(body) > MIN_BYTES

    def test_nor_what_another_site_has_somebody_ask_for(self, server: Server) -> None:
        cookie = SimpleCookie(server.ask(DOOR)[1]["Set-Cookie"])["csrftoken"]
        own = f"Cookie: csrftoken={cookie.value}"
        for site, encoding in {"cross-site": None, "same-site": None, "same-origin": "gzip", "none": "gzip"}.items():
            assert server.ask(PAGE, GZIP, own, f"Sec-Fetch-Site: {site}")[1]["Content-Encoding"] == encoding, site
        assert server.ask(PAGE, GZIP, "Sec-Fetch-Site: cross-site")[1]["Content-Encoding"] == "gzip", "a stranger"


def packed(response: Any, path: str = "/", **headers: str) -> Any:
    request = RequestFactory(headers={"Accept-Encoding": "gzip", **headers}).get(path)
    return Compression(lambda _: response)(request)


@pytest.mark.parametrize(
    ("given", "takes"),
    [("gzip", True), ("GZIP", True), ("x-gzip", True), ("gzip;q=0", False), ("br", False), ("", False)],
)
def test_pages_and_files_understand_the_header_alike(
    client: Client, settings: Any, tmp_path: Path, given: str, takes: bool
) -> None:
    """Django's middleware and whitenoise only search for the word."""
    settings.STATIC_ROOT = tmp_path
    style = b"a{}" * 1000
    (tmp_path / "a.css").write_bytes(style)
    (tmp_path / "a.css.gz").write_bytes(gzip.compress(style))
    for path in ("/docs/", "/static/a.css"):
        found = client.get(path, headers={"Accept-Encoding": given})
        assert found.status_code == 200 and "Accept-Encoding" in found["Vary"]
        assert found.get("Content-Encoding") == ("gzip" if takes else None), path
        assert b"".join(found).startswith(b"\x1f\x8b") == takes, path


class TestWhatIsLeftAlone:
    def test_events(self) -> None:
        """Events must arrive at once, so each stream decides on its own."""
        response = packed(StreamingHttpResponse(["data: x\n\n"] * 1000, content_type="text/event-stream"))
        assert "Content-Encoding" not in response and b"".join(response).startswith(b"data: x")

    def test_what_is_packed_already(self) -> None:
        response = packed(HttpResponse(b"x" * 5000, headers={"Content-Encoding": "br"}))
        assert response["Content-Encoding"] == "br" and response.content == b"x" * 5000

    @pytest.mark.parametrize(
        "path", ["/accounts/2fa/totp/activate/", "/accounts/2fa/recovery-codes/", "/me/tokens/", "/accounts/email/"]
    )
    def test_where_secrets_stand(self, path: str) -> None:
        assert "Content-Encoding" not in packed(HttpResponse("x" * 5000), path)
        assert "Content-Encoding" in packed(HttpResponse("x" * 5000), "/me/")

    @pytest.mark.parametrize("length", [MIN_BYTES - 1, MIN_BYTES])
    def test_short_ones(self, length: int) -> None:
        assert ("Content-Encoding" in packed(HttpResponse("x" * length))) == (length == MIN_BYTES)


@pytest.mark.parametrize(
    ("given", "takes"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("x-gzip", True),
        ("gzip;q=0", False),
        ("gzip ; q=0.0", False),
        ("gzip;q=much", False),
        ("identity, gzip;q=0.5", False),
        ("identity;q=0.5, gzip", True),
        ("gzippy", False),
        ("*", False),
        ("", False),
    ],
)
def test_who_takes_gzip(given: str, takes: bool) -> None:
    request = HttpRequest()
    request.META["HTTP_ACCEPT_ENCODING"] = given
    assert accepts_gzip(request) == takes


def test_of_a_stream_each_piece_can_be_read_at_once() -> None:
    """One gzip member, because many programs stop reading after the first."""
    reader, pieces = zlib.decompressobj(wbits=31), [b"a\n" * 9000, b"b\n"]
    sent = gzip_stream(one for one in pieces)
    for piece in pieces:
        assert reader.decompress(next(sent)) == piece
    assert reader.decompress(b"".join(sent)) == b""
    assert reader.eof and not reader.unused_data
