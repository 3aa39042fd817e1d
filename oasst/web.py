"""The web server: daphne in this process, on a socket of its own or on one that the supervisor holds open.

What daphne's own command line lacks: it stops what runs beside the requests, lets requests in work finish
before it ends, its time limit spares answers that are being streamed, and it bounds what one caller may hold: memory,
connections, and time.
"""

import asyncio
import http.client
import ipaddress
import resource
import time
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

# Daphne installs the asyncio reactor, so it comes before everything else that touches twisted.
import daphne.server  # isort: skip
from channels.routing import get_default_application
from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from django.conf import settings
from twisted.internet import defer, reactor, task, threads
from twisted.web.http import NO_BODY_CODES, HTTPChannel, _MalformedChunkedDataError

from oasst.core import shutdown
from oasst.core.http.requests import requester

ANSWER_SECONDS = 120
"""A request that is not answered in this time gets a 503."""
WAITS_FOR_THE_MODEL = (b"/v1/chat/completions",)
"""Bounded by the deadline of their turn instead, and not waited for at the end: their program asks again."""
STALLED_SECONDS = 120
"""How long a reader may take nothing of an answer that is sent in pieces: it holds memory, perhaps a transaction."""
DRAIN_SECONDS = 10
"""How long requests in work may take after the process was told to stop."""
METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
"""All that anything here answers to. Invented ones would fill the metrics, which count by method."""
LARGEST_BODY = 5_000_000
"""Bytes. Twice of what Django takes as a form, so that Django says so itself where it can."""
MOST_CHUNKS = 1000
"""Of a body that is sent without a length, and one more for each `BYTES_OF_A_CHUNK`."""
BYTES_OF_A_CHUNK = 64
LARGEST_MESSAGE = 1024
"""Bytes, over a WebSocket. All that is ever said to us there is "stop"."""
MOST_FRAMES = 20
"""Of any kind, that a WebSocket takes in `FRAMES_SECONDS`. Browsers answer a ping each 20 seconds."""
FRAMES_SECONDS = 10
MOST_WAITING = 10
"""Messages over a WebSocket that its consumer has not come to yet."""
PLAIN_HEADERS = (
    (b"Content-Security-Policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Cache-Control", b"no-store"),
)
"""Of answers that are given here, before Django is asked."""


@dataclass(frozen=True)
class Deadlines:
    """Seconds that a caller has, whatever trickles in meanwhile. Twisted's own limit starts anew with each byte."""

    head: float = 20
    """From the connection to the end of the first head."""
    idle: float = 60
    """From the end of an answer to the end of the next head on the same connection."""
    body: float = 30
    """For a body, before its pace is looked at."""
    pace: float = 4096
    """Bytes a second that a body brings on the whole from then on: the largest one may take 20 minutes."""
    draining: float = 600
    """For taking the rest of an answer after which the connection ends."""


class ConnectionLimiter:
    """How many connections each address holds open in this process.

    Connections from this machine are not counted: they are those of a proxy, which stands for everybody. Behind
    declared proxies nothing is counted here, for the same reason: they limit their callers themselves.
    """

    def __init__(self, most: int, *, in_all: int = 0, spares_this_machine: bool = True) -> None:
        """`most` for an address, `in_all` for everybody together; 0 is no bound."""
        self.most, self.in_all, self.spares_this_machine = most, in_all, spares_this_machine
        self._open: dict[str, WeakSet[Any]] = {}
        self._everybodys: WeakSet[Any] = WeakSet()

    def admits(self, transport: Any) -> bool:
        """Counts one more connection, or says that there are enough."""
        # Those that are gone and not yet forgotten are only left out of the count where it matters.
        if self.in_all and len(self._everybodys) >= self.in_all and self._connected() >= self.in_all:
            return False
        self._everybodys.add(transport)
        address = self._counted_as(transport.getPeer())
        if not self.most or address is None:
            return True
        self._forget_the_closed()
        here = self._open.setdefault(address, WeakSet())
        # A WebSocket takes its connection over from HTTP, so the connections themselves are asked, not who uses them.
        if sum(1 for one in here if one.connected) >= self.most:
            return False
        here.add(transport)
        return True

    def _connected(self) -> int:
        return sum(1 for one in self._everybodys if one.connected)

    def _counted_as(self, peer: Any) -> str | None:
        """Who it counts for (`core.http.requests`); None where it is not counted."""
        try:
            address = ipaddress.ip_address(peer.host)
        except (AttributeError, ValueError):  # a socket of this machine without addresses
            return None
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        if address.is_loopback and self.spares_this_machine:
            return None
        return requester(address)

    def _forget_the_closed(self) -> None:
        if len(self._open) > 1000:
            self._open = {name: here for name, here in self._open.items() if any(one.connected for one in here)}


class BoundedChannel(HTTPChannel):
    """One connection. Heads and bodies have to come in time, and an address has only so many connections."""

    _deadline: Any = None
    _is_refused = False
    _body_began = 0.0

    def connectionMade(self) -> None:
        super().connectionMade()
        if self.factory.limiter.admits(self.transport):
            self._give(self.factory.deadlines.head, self._head_is_late)
        else:
            self._refuse(b"503 Service Unavailable", b"Retry-After: 5\r\n")

    def dataReceived(self, data: bytes) -> None:
        if not self._is_refused:
            super().dataReceived(data)

    def allHeadersReceived(self) -> None:
        super().allHeadersReceived()
        self._body_began = time.monotonic()
        self._give(self.factory.deadlines.body, self._look_at_pace)

    def allContentReceived(self) -> None:
        # From here on the time belongs to the answer. A WebSocket takes the connection over.
        self._give(None)
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        # First: what is buffered may be the next request, which sets its own.
        self._give(self.factory.deadlines.idle, self._head_is_late)
        if not self.persistent:
            self._give(self.factory.deadlines.draining, self.forceAbortClient)
        super().requestDone(request)

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]  # as HTTPChannel has it
        self._give(None)
        super().connectionLost(reason)

    def _give(self, seconds: float | None, then: Any = None) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = self.callLater(seconds, then) if seconds is not None else None

    def _head_is_late(self) -> None:
        if self._receivedHeaderSize or self._buffer:
            self._refuse(b"408 Request Timeout")
        else:  # nothing was begun: a connection that was kept, or opened ahead
            self.timeoutConnection()

    def _look_at_pace(self) -> None:
        """A slow line is waited for as long as it brings what it can, a caller who only holds on is not."""
        deadlines, content = self.factory.deadlines, self.requests[-1].content
        earned = deadlines.body + (content.tell() if content else 0) / deadlines.pace
        left = earned - (time.monotonic() - self._body_began)
        if left > 0:
            self._give(left, self._look_at_pace)
        else:
            self._refuse(b"408 Request Timeout")

    def _respondToBadRequestAndDisconnect(self) -> None:
        """As twisted's, with the headers that every answer has."""
        self._refuse(b"400 Bad Request")

    def _refuse(self, status: bytes, more: bytes = b"") -> None:
        self._is_refused = True
        self._give(None)
        transport: Any = self.transport
        transport.write(plain_refusal(status, more))
        self.timeoutConnection()


def plain_refusal(status: bytes, more: bytes = b"") -> bytes:
    """A whole answer, with a few words for people, after which the connection ends."""
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in PLAIN_HEADERS)
    page = _REFUSED % {b"status": status, b"words": _WORDS[status[:3]]}
    about = b"Content-Type: text/html; charset=utf-8\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(page)
    return b"HTTP/1.1 " + status + b"\r\n" + more + lines + about + page


_REFUSED = (
    b"<!doctype html><html lang=en><meta name=viewport content=width=device-width><title>%(status)s</title>"
    b"<h1>%(status)s</h1><p>%(words)s</p><p><a href=/>To the start page</a></p></html>"
)
_BACK = b" If you had typed something, the Back button of your browser leads to it."
_WORDS = {
    b"400": b"The request was garbled on its way. Reload the page and try again." + _BACK,
    b"408": b"The request came too slowly. Look at your connection, and try again." + _BACK,
    b"413": b"More was sent than the site takes at once. Nothing was stored: send it in smaller parts." + _BACK,
    b"501": b"This method is not known here.",
    b"503": b"Too many connections come from your network at the moment. Try again in a few seconds." + _BACK,
}


class LeanRequest(WebRequest):
    """A body is refused as soon as it is too large, and nothing is done twice.

    Daphne takes the whole of it into memory before anything of ours is asked, and one caller could send without end.
    """

    _refused = False
    _chunks, _has_length = 0, True
    error_template = "<!doctype html><html lang=en><title>%(title)s</title><h1>%(title)s</h1><p>%(body)s</p></html>"

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """As twisted's, without reading forms: Django does, and in a thread."""
        self.content.seek(0)
        self.args: dict[bytes, list[bytes]] = {}
        self.method, self.uri, self.clientproto = command, path, version
        self.path = path.partition(b"?")[0]
        if command not in METHODS and not self._refused:
            self._refuse(b"501 Not Implemented")
        self.process()

    def gotLength(self, length: int | None) -> None:
        super().gotLength(length)
        self._has_length = length is not None
        if length is not None and length > LARGEST_BODY:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        if not self._refused and self.content.tell() + len(data) > LARGEST_BODY:
            self._refuse()  # sent in chunks, without a length
        if not self._refused:
            super().handleContentChunk(data)
            self._count_chunk()

    def _count_chunk(self) -> None:
        """A single read may bring ten thousand chunks of a byte, and nobody else is served meanwhile."""
        self._chunks += 1
        if not self._has_length and self._chunks > MOST_CHUNKS + self.content.tell() // BYTES_OF_A_CHUNK:
            self._refused = True
            raise _MalformedChunkedDataError("small chunks")  # nothing else ends the reading; the channel says 400

    def process(self) -> Any:
        return None if self._refused else super().process()

    def setResponseCode(self, code: int, message: bytes | None = None) -> None:
        """With the name of the status: twisted's list lacks 422, 429, 451 and others, and says "Unknown Status"."""
        if message is None and code in http.client.responses:
            message = http.client.responses[code].encode("ascii")
        super().setResponseCode(code, message)

    def _refuse(self, status: bytes = b"413 Content Too Large") -> None:
        self._refused = True
        self.transport.write(plain_refusal(status))
        self.transport.loseConnection()

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        for name, value in PLAIN_HEADERS:
            self.responseHeaders.setRawHeaders(name, [value])
        super().basic_error(status, status_text, body)


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
        if message["type"] == "http.response.body":
            message = self._as_it_may_be_sent(message)
        goes_on = message.get("more_body", False)
        if goes_on and self.producer is None and self.channel is not None:
            self.registerProducer(self, True)
        elif message["type"] == "http.response.body" and not goes_on and self.producer is self:
            self.unregisterProducer()
        super().handle_reply(message)

    def _as_it_may_be_sent(self, message: dict[str, Any]) -> dict[str, Any]:
        """Of an answer that is a head alone its end. Whoever makes a stream hears of that as of a reader who left.

        Daphne sends what follows the first piece of a body to everybody, and a kept connection would take it for the
        next answer.
        """
        if self.code in NO_BODY_CODES:
            self.responseHeaders.removeHeader(b"Content-Length")  # Django counts the body that is not there
        elif self.method != b"HEAD":
            return message
        return {"type": "http.response.body"}

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
    protocol = BoundedChannel

    def __init__(self, server: "SiteServer") -> None:
        super().__init__(server)
        self.deadlines, self.limiter = server.deadlines, server.limiter

    def buildProtocol(self, addr: Any) -> Any:
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = PacedRequest
        return protocol

    def log(self, request: Any) -> None:
        """Our own line is oasst.core.http.middleware.RequestLog's. Twisted's cost a millisecond and went nowhere."""


class BoundedSocket(WebSocketProtocol):
    """A WebSocket. Whoever says much more than there is to say, or takes nothing of what is said, is cut off.

    Daphne reads on whatever its consumer has come to, and keeps all of it. Small frames cost most: a single read may
    bring ten thousand, and nobody else is served meanwhile.
    """

    _window, _frames = 0.0, 0
    _stalled: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._room = asyncio.Event()
        self._room.set()

    async def has_room(self) -> None:
        """Wait until the reader took what was sent, or is gone. Who takes nothing for long is cut off meanwhile."""
        await self._room.wait()

    def dataReceived(self, data: bytes) -> None:
        if hasattr(self, "handshake_deferred"):
            self._cut_off()  # nobody may speak before they are answered (RFC 6455, 4.1), and it would be read as a head
            return
        super().dataReceived(data)
        if self.data and hasattr(self, "handshake_deferred"):
            self._cut_off()  # a body came with the head

    def onOpen(self) -> None:
        super().onOpen()
        self.unregisterProducer()  # that of the HTTP connection, which nobody asks any more
        self.registerProducer(self, True)

    def onFrameBegin(self) -> None:
        """Called for every frame: also pings, parts of a message, and what comes while we close."""
        now = time.monotonic()
        if now - self._window >= FRAMES_SECONDS:
            self._window, self._frames = now, 0
        self._frames += 1
        if self._frames > MOST_FRAMES:
            self._cut_off()
        else:
            super().onFrameBegin()

    def onMessageFrameBegin(self, length: int) -> None:
        super().onMessageFrameBegin(length)
        if self.message_data_total_length > LARGEST_MESSAGE:
            self._cut_off()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if self.application_queue.qsize() >= MOST_WAITING:
            self._cut_off()
        else:
            super().onMessage(payload, isBinary)

    def handle_reply(self, message: dict[str, Any]) -> None:
        """What a consumer says to a reader who is gone is nobody's fault. Autobahn would raise."""
        if self.state in (self.STATE_CONNECTING, self.STATE_OPEN):
            super().handle_reply(message)

    def pauseProducing(self) -> None:
        """More was sent than the reader took: the consumer waits in its next `send` (`has_room`)."""
        self._room.clear()
        if self._stalled is None:
            self._stalled = reactor.callLater(STALLED_SECONDS, self._cut_off)  # type: ignore[arg-type]

    def resumeProducing(self) -> None:
        self._room.set()
        if self._stalled is not None and self._stalled.active():
            self._stalled.cancel()
        self._stalled = None

    def stopProducing(self) -> None:
        """The connection is gone, and `connectionLost` is called as well."""

    def connectionLost(self, reason: Any) -> None:
        self.resumeProducing()
        super().connectionLost(reason)

    def _cut_off(self) -> None:
        """Without a word to somebody who may not listen."""
        if self.state == self.STATE_CONNECTING:
            self.serverReject()
        else:
            self.dropConnection(abort=True)
            self.transport.abortConnection()  # also where it was closing, and waited for its reader


class BoundedSocketFactory(WebSocketFactory):
    protocol = BoundedSocket


# Daphne's server makes its factories itself and has no setting for them.
daphne.server.HTTPFactory = LeanFactory
daphne.server.WebSocketFactory = BoundedSocketFactory


class SiteServer(daphne.server.Server):
    """Daphne's server with a calm end, answers at the pace of their readers, and bounds for callers."""

    def __init__(
        self, *args: Any, deadlines: Deadlines | None = None, limiter: ConnectionLimiter | None = None, **kwargs: Any
    ) -> None:
        # Autobahn's bound is for what is sent as well, and long answers broke off at it. `BoundedSocket` has its own.
        super().__init__(*args, websocket_max_message_size=0, websocket_max_frame_size=0, **kwargs)
        self.deadlines, self.limiter = deadlines or Deadlines(), limiter or ConnectionLimiter(0)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        await super().handle_reply(protocol, message)
        is_paced = message.get("more_body") and isinstance(protocol, PacedRequest)
        if is_paced or isinstance(protocol, BoundedSocket):
            await protocol.has_room()

    def run(self) -> None:
        self.ports: list[Any] = []
        super().run()

    def listen_success(self, port: Any) -> None:
        self.ports.append(port)
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


def _is_under_way(request: WebRequest) -> bool:
    return request._response_started or request.path.rstrip(b"/") in WAITS_FOR_THE_MODEL


MOST_CONNECTIONS = 10_000
KEPT_FILES = 200
"""Open files that are left for the database, Redis, logs and models."""


def room_for_connections() -> int:
    """Lets this process open as many files as the system allows it, and says how many connections that is.

    Without it a thousand idle connections would leave no file for anybody else, and the process would refuse all.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return max(50, min(MOST_CONNECTIONS, soft - KEPT_FILES)) if soft != resource.RLIM_INFINITY else MOST_CONNECTIONS


def serve(descriptor: int) -> None:
    """Serve the site on a listening socket until SIGTERM or SIGINT."""
    most = 0 if settings.TRUSTED_PROXIES else settings.CONNECTIONS_PER_ADDRESS
    SiteServer(
        application=get_default_application(),
        endpoints=[f"fd:fileno={descriptor}"],
        http_timeout=ANSWER_SECONDS,
        server_name="oasst",
        limiter=ConnectionLimiter(most, in_all=room_for_connections()),
    ).run()
