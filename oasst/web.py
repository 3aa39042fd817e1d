"""The web server: daphne in this process, on a socket of its own or on one that the supervisor holds open.

What daphne's own command line lacks: it stops what runs beside the requests, lets requests in work finish
before it ends, its time limit spares answers that are being streamed, and it bounds what a request may hold.
"""

import asyncio
import time
from typing import Any

# Daphne installs the asyncio reactor, so it comes before everything else that touches twisted.
import daphne.server  # isort: skip
from channels.routing import get_default_application
from daphne.http_protocol import HTTPFactory, WebRequest
from twisted.internet import defer, reactor, task, threads

from oasst.core import shutdown

ANSWER_SECONDS = 120
"""A request that is not answered in this time gets a 503."""
DRAIN_SECONDS = 10
"""How long requests in work may take after the process was told to stop."""
LARGEST_BODY = 5_000_000
"""Bytes. Twice of what Django takes as a form, so that Django says so itself where it can."""


class LeanRequest(WebRequest):
    """A body is refused as soon as it is too large, and nothing is done twice.

    Daphne takes the whole of it into memory before anything of ours is asked, and one caller could send without end.
    """

    _refused = False

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """As twisted's, without reading forms: Django does, and in a thread."""
        self.content.seek(0)
        self.args = {}
        self.method, self.uri, self.clientproto = command, path, version
        self.path = path.partition(b"?")[0]
        self.process()

    def gotLength(self, length: int | None) -> None:
        super().gotLength(length)
        if length is not None and length > LARGEST_BODY:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        if not self._refused and self.content.tell() + len(data) > LARGEST_BODY:
            self._refuse()  # sent in chunks, without a length
        if not self._refused:
            super().handleContentChunk(data)

    def process(self) -> Any:
        return None if self._refused else super().process()

    def _refuse(self) -> None:
        self._refused = True
        self.transport.write(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        self.transport.loseConnection()


class LeanFactory(HTTPFactory):
    def buildProtocol(self, addr: Any) -> Any:
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = LeanRequest
        return protocol

    def log(self, request: Any) -> None:
        """Our own line is oasst.core.middleware.RequestLog's. Twisted's cost a millisecond and went nowhere."""


# Daphne's server makes its factory itself and has no setting for it.
daphne.server.HTTPFactory = LeanFactory


class SiteServer(daphne.server.Server):
    """Daphne's server with a calm end."""

    def run(self) -> None:
        self.ports: list[Any] = []
        super().run()

    def listen_success(self, port: Any) -> None:
        self.ports.append(port)
        super().listen_success(port)

    def timeout_checker(self) -> None:
        """The limit is for the first byte: streams of tokens and large exports go on."""
        for protocol in list(self.connections):
            if not (isinstance(protocol, WebRequest) and protocol._response_started):
                protocol.check_timeouts()
        reactor.callLater(2, self.timeout_checker)  # type: ignore[arg-type]

    def kill_all_applications(self) -> "defer.Deferred[None]":
        """Called by the reactor before it stops, which waits for the result."""
        return defer.ensureDeferred(self._end())

    async def _end(self) -> None:
        for port in self.ports:
            await defer.maybeDeferred(port.stopListening)
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._unanswered() and time.monotonic() < deadline:
            await task.deferLater(reactor, 0.05)
        await threads.deferToThread(shutdown.run_hooks)
        running = [one for one in self._applications() if not one.done()]
        for one in running:
            one.cancel()
        if running:
            await defer.Deferred.fromFuture(asyncio.gather(*running, return_exceptions=True))

    def _applications(self) -> "list[asyncio.Future[Any]]":
        return [one["application_instance"] for one in self.connections.values() if "application_instance" in one]

    def _unanswered(self) -> bool:
        return any(
            isinstance(protocol, WebRequest)
            and not protocol._response_started
            and "application_instance" in details
            and not details["application_instance"].done()
            for protocol, details in self.connections.items()
        )


def serve(descriptor: int) -> None:
    """Serve the site on a listening socket until SIGTERM or SIGINT."""
    SiteServer(
        application=get_default_application(),
        endpoints=[f"fd:fileno={descriptor}"],
        http_timeout=ANSWER_SECONDS,
        server_name="oasst",
    ).run()
