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
WAITS_FOR_THE_MODEL = (b"/v1/chat/completions",)
"""Bounded by the deadline of their turn instead, and not waited for at the end: their program asks again."""
STALLED_SECONDS = 120
"""How long a reader may take nothing of an answer that is sent in pieces: it holds memory, perhaps a transaction."""
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
        self.args: dict[bytes, list[bytes]] = {}
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


class PacedRequest(LeanRequest):
    """A long answer goes as fast as its reader takes it.

    Daphne hands every piece to the connection at once, which keeps what the reader has not taken: an export would lie
    in memory as a whole. This is what twisted calls a push producer: it is told when the connection has enough.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._room = asyncio.Event()
        self._room.set()

    def handle_reply(self, message: dict[str, Any]) -> None:
        goes_on = message.get("more_body", False)
        if goes_on and self.producer is None and self.channel is not None:
            self.registerProducer(self, True)
        elif message["type"] == "http.response.body" and not goes_on and self.producer is self:
            self.unregisterProducer()
        super().handle_reply(message)

    async def has_room(self) -> None:
        """Wait until the reader took what it was sent. One that takes nothing for long is let go."""
        try:
            async with asyncio.timeout(STALLED_SECONDS):
                await self._room.wait()
        except TimeoutError:
            if self.channel is not None:
                self.channel.forceAbortClient()

    def pauseProducing(self) -> None:
        self._room.clear()

    def resumeProducing(self) -> None:
        self._room.set()

    def stopProducing(self) -> None:
        self._room.set()

    def connectionLost(self, reason: Any) -> None:
        self._room.set()
        super().connectionLost(reason)

    def handle_exception(self, exception: BaseException) -> None:
        """An answer that has begun can not become an error page. It breaks off, so that nobody takes it for whole."""
        if self._response_started:
            self.channel.forceAbortClient()
        else:
            super().handle_exception(exception)


class LeanFactory(HTTPFactory):
    def buildProtocol(self, addr: Any) -> Any:
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = PacedRequest
        return protocol

    def log(self, request: Any) -> None:
        """Our own line is oasst.core.middleware.RequestLog's. Twisted's cost a millisecond and went nowhere."""


# Daphne's server makes its factory itself and has no setting for it.
daphne.server.HTTPFactory = LeanFactory


class SiteServer(daphne.server.Server):
    """Daphne's server with a calm end, and answers at the pace of their readers."""

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        await super().handle_reply(protocol, message)
        if message.get("more_body") and isinstance(protocol, PacedRequest):
            await protocol.has_room()

    def run(self) -> None:
        self.ports: list[Any] = []
        super().run()

    def listen_success(self, port: Any) -> None:
        self.ports.append(port)
        _take_one_at_a_time(port)
        super().listen_success(port)

    def timeout_checker(self) -> None:
        """The limit is for the first byte: streams of tokens and large exports go on."""
        for protocol in list(self.connections):
            if not (isinstance(protocol, WebRequest) and _is_under_way(protocol)):
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
            and not _is_under_way(protocol)
            and "application_instance" in details
            and not details["application_instance"].done()
            for protocol, details in self.connections.items()
        )


def _take_one_at_a_time(port: Any) -> None:
    """Leave the next connection to the web process that has time for it.

    Twisted takes a hundred at once, so that of several processes on one socket the first to wake up took all.
    """
    take = port.doRead

    def take_one() -> None:
        port.numberAccepts = 1
        take()

    port.doRead = take_one


def _is_under_way(request: WebRequest) -> bool:
    return request._response_started or request.path in WAITS_FOR_THE_MODEL


def serve(descriptor: int) -> None:
    """Serve the site on a listening socket until SIGTERM or SIGINT."""
    SiteServer(
        application=get_default_application(),
        endpoints=[f"fd:fileno={descriptor}"],
        http_timeout=ANSWER_SECONDS,
        server_name="oasst",
    ).run()
