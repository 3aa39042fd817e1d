"""The web server: daphne in this process, on a socket of its own or on one that the supervisor holds open.

What daphne's own command line lacks: it stops what runs beside the requests, lets requests in work finish
before it ends, its time limit spares answers that are being streamed, and it bounds what one caller may hold: memory,
connections, and time. Each override below says what of daphne's, twisted's or autobahn's it mends;
docs/decisions/0104-what-the-web-server-mends.md lists them with the tests that guard them.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

# Daphne installs the asyncio reactor, so it comes before everything else that touches twisted.
import daphne.server  # isort: skip
from channels.routing import get_default_application
from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from django.conf import settings
from twisted.internet import defer, reactor
from twisted.web.http import RESPONSES, HTTPChannel, _MalformedChunkedDataError

from oasst.core import shutdown
from oasst.core.http.bodiless_responses import drop_bodies
from oasst.core.http.connection_limits import ConnectionLimiter, Deadlines, room_for_connections
from oasst.core.http.plain_answers import PLAIN_HEADERS, plain_refusal

ANSWER_SECONDS = 120
"""A request that is not answered in this time gets a 503."""
WAITS_FOR_THE_MODEL = (b"/v1/chat/completions",)
"""Bounded by the deadline of their turn instead, and not waited for at the end: their program asks again."""
STALLED_SECONDS = 120
"""How long a reader may take nothing of what is sent in pieces: it holds memory, perhaps a transaction."""
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


class BoundedChannel(HTTPChannel):
    """One connection. Twisted's only time limit starts anew with each byte, and it takes any number of connections."""

    _deadline: Any = None
    _body_began = 0.0

    def connectionMade(self) -> None:
        """Else one address could hold all connections, and a head come byte by byte for ever."""
        super().connectionMade()
        if self.factory.server.limiter.admits(self.transport):
            self._give(self.factory.server.deadlines.head, self._head_is_late)
        else:
            self.refuse(b"503 Service Unavailable", b"Retry-After: 5\r\n")

    def allHeadersReceived(self) -> None:
        """From here on the time is that of the body, which could come byte by byte as well."""
        super().allHeadersReceived()
        self._body_began = time.monotonic()
        self._give(self.factory.server.deadlines.body, self._look_at_pace)

    def allContentReceived(self) -> None:
        """From here on the time belongs to the answer, or to the WebSocket that takes the connection over."""
        self._give(None)
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        """A kept connection waits for its next head, one that ends for a reader who may never take the rest."""
        # First: what is buffered may be the next request, which sets its own.
        self._give(self.factory.server.deadlines.idle, self._head_is_late)
        if not self.persistent:
            self._give(self.factory.server.deadlines.draining, self.forceAbortClient)
        super().requestDone(request)

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]  # as HTTPChannel has it
        """Else the timer would keep what is gone in memory until its time is over."""
        self._give(None)
        super().connectionLost(reason)

    def _give(self, seconds: float | None, then: Any = None) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = self.callLater(seconds, then) if seconds is not None else None

    def _head_is_late(self) -> None:
        if self._receivedHeaderSize or self._buffer:
            self.refuse(b"408 Request Timeout")
        else:  # nothing was begun: a connection that was kept, or opened ahead
            self.timeoutConnection()

    def _look_at_pace(self) -> None:
        """A slow line is waited for as long as it brings what it can, a caller who only holds on is not."""
        deadlines, content = self.factory.server.deadlines, self.requests[-1].content
        earned = deadlines.body + (content.tell() if content else 0) / deadlines.pace
        left = earned - (time.monotonic() - self._body_began)
        if left > 0:
            self._give(left, self._look_at_pace)
        else:
            self.refuse(b"408 Request Timeout")

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Twisted's 400 has none of the headers that every answer has, and no words."""
        self.refuse(b"400 Bad Request")

    def refuse(self, status: bytes, more: bytes = b"") -> None:
        """The last that is said and heard on this connection, which is aborted where its reader does not take it."""
        self._give(None)
        transport: Any = self.transport
        transport.write(plain_refusal(status, more))
        self.timeoutConnection()


class Paced:
    """What is sent in pieces goes as fast as its reader takes it, and who takes nothing for long is cut off.

    Daphne hands every piece to the connection at once, which keeps what the reader has not taken: an export would lie
    in memory as a whole. This is what twisted calls a push producer: it is told when the connection has enough.
    """

    _stalled: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._room = asyncio.Event()
        self._room.set()

    async def has_room(self) -> None:
        """Wait until the reader took what was sent, or is gone."""
        await self._room.wait()

    def pauseProducing(self) -> None:
        self._room.clear()
        if self._stalled is None:
            self._stalled = reactor.callLater(STALLED_SECONDS, self._cut_off)  # type: ignore[arg-type]

    def resumeProducing(self) -> None:
        self._room.set()
        if self._stalled is not None and self._stalled.active():
            self._stalled.cancel()
        self._stalled = None

    def stopProducing(self) -> None:
        """The connection is gone, and `connectionLost` is called as well: autobahn may have forgotten its producer."""

    def connectionLost(self, reason: Any) -> None:
        """Else whoever waits for room hears of the end only when daphne kills them, ten seconds later."""
        self.resumeProducing()
        super().connectionLost(reason)  # type: ignore[misc]

    def _cut_off(self) -> None:
        raise NotImplementedError


class BoundedRequest(Paced, WebRequest):
    """A request and its answer.

    Daphne takes the whole of a body into memory before anything of ours is asked: one caller could send without end.
    """

    _refused = False
    _chunks, _has_length = 0, True
    # Daphne's own has a style, which our Content-Security-Policy forbids, and names daphne.
    error_template = "<!doctype html><html lang=en><title>%(title)s</title><h1>%(title)s</h1><p>%(body)s</p></html>"

    # --- What comes ---

    def gotLength(self, length: int | None) -> None:
        """Twisted knows no largest body. One that says its length is refused before it is sent."""
        super().gotLength(length)
        self._has_length = length is not None
        if length is not None and length > LARGEST_BODY:
            self._refuse(b"413 Content Too Large")

    def handleContentChunk(self, data: bytes) -> None:
        """As above, of a body without a length; and a single read may bring ten thousand chunks of a byte, which keep
        everybody else waiting.
        """
        if self._refused:
            return
        if self.content.tell() + len(data) > LARGEST_BODY:
            self._refuse(b"413 Content Too Large")
            return
        super().handleContentChunk(data)
        self._chunks += 1
        if not self._has_length and self._chunks > MOST_CHUNKS + self.content.tell() // BYTES_OF_A_CHUNK:
            raise _MalformedChunkedDataError("small chunks")  # nothing else ends the reading; the channel says 400

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """As twisted's, but that one reads queries and forms on the event loop, 18 ms for 16 kB of "&", and Django does
        so again. Invented methods go no further.
        """
        self.content.seek(0)
        self.method, self.uri, self.clientproto = command, path, version
        self.path = path.partition(b"?")[0]
        if command not in METHODS and not self._refused:
            self._refuse(b"501 Not Implemented")
        if not self._refused:
            self.process()

    def _refuse(self, status: bytes) -> None:
        self._refused = True
        self.channel.refuse(status)

    # --- What is answered ---

    def handle_reply(self, message: dict[str, Any]) -> None:
        """Daphne registers no producer, and would never hear that the connection has enough (`Paced`)."""
        goes_on = message.get("more_body", False)
        if goes_on and self.producer is None and self.channel is not None:
            self.registerProducer(self, True)
        elif message["type"] == "http.response.body" and not goes_on and self.producer is self:
            self.unregisterProducer()
        super().handle_reply(message)

    def handle_exception(self, exception: BaseException) -> None:
        """Daphne's raises where an answer has begun, and with that ends its watch over all connections. Such an answer
        breaks off, so that nobody takes it for whole.
        """
        if self._response_started:
            self._cut_off()
        else:
            super().handle_exception(exception)

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Daphne's pages of errors have none of the headers that every answer has."""
        for name, value in PLAIN_HEADERS:
            self.responseHeaders.setRawHeaders(name, [value])
        super().basic_error(status, status_text, body)

    def is_under_way(self) -> bool:
        """Whether nobody waits for its first byte: it is there, or comes when the model is free."""
        return self._response_started or self.path.rstrip(b"/") in WAITS_FOR_THE_MODEL

    def check_timeouts(self) -> None:
        """Daphne's limit is for the whole of an answer. Streams of tokens and large exports go on."""
        if not self.is_under_way():
            super().check_timeouts()

    def _cut_off(self) -> None:
        if self.channel is not None:
            self.channel.forceAbortClient()


class BoundedSocket(Paced, WebSocketProtocol):
    """A WebSocket. Whoever says much more than there is to say is cut off.

    Daphne reads on whatever its consumer has come to, and keeps all of it. Small frames cost most: a single read may
    bring ten thousand, and nobody else is served meanwhile.
    """

    _window, _frames = 0.0, 0

    def dataReceived(self, data: bytes) -> None:
        """Nobody may speak before they are answered (RFC 6455, 4.1): autobahn would read it as a second head."""
        if hasattr(self, "handshake_deferred"):
            self._cut_off()
            return
        super().dataReceived(data)
        if self.data and hasattr(self, "handshake_deferred"):
            self._cut_off()  # a body came with the head

    def onOpen(self) -> None:
        """The producer is still that of the HTTP connection, which nobody asks any more."""
        super().onOpen()
        self.unregisterProducer()
        self.registerProducer(self, True)

    def onFrameBegin(self) -> None:
        """Autobahn takes any number of frames. Called for all: also pings, parts, and what comes while we close."""
        now = time.monotonic()
        if now - self._window >= FRAMES_SECONDS:
            self._window, self._frames = now, 0
        self._frames += 1
        if self._frames > MOST_FRAMES:
            self._cut_off()
        else:
            super().onFrameBegin()

    def onMessageFrameBegin(self, length: int) -> None:
        """Autobahn's bound is for what is sent as well, and long answers broke off at it."""
        super().onMessageFrameBegin(length)
        if self.message_data_total_length > LARGEST_MESSAGE:
            self._cut_off()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Daphne's queue for the consumer has no end."""
        if self.application_queue.qsize() >= MOST_WAITING:
            self._cut_off()
        else:
            super().onMessage(payload, isBinary)

    def handle_reply(self, message: dict[str, Any]) -> None:
        """What a consumer says to a reader who is gone is nobody's fault. Autobahn would raise."""
        if self.state in (self.STATE_CONNECTING, self.STATE_OPEN):
            super().handle_reply(message)

    def _cut_off(self) -> None:
        """Without a word to somebody who may not listen."""
        if self.state == self.STATE_CONNECTING:
            self.serverReject()
        else:
            self.dropConnection(abort=True)
            self.transport.abortConnection()  # also where it was closing, and waited for its reader


# Daphne has no settings for what it makes of a connection, of a request, and of a WebSocket.
HTTPFactory.protocol = BoundedChannel
daphne.http_protocol.WebRequest = BoundedRequest
WebSocketFactory.protocol = BoundedSocket
# Our own line is oasst.core.http.middleware.RequestLog's. Twisted's cost a millisecond and went nowhere.
HTTPFactory.log = lambda factory, request: None
# Twisted lacks 422, 429, 451 and others, and says "Unknown Status".
RESPONSES.update({status.value: status.phrase.encode("ascii") for status in HTTPStatus})


class SiteServer(daphne.server.Server):
    """Daphne's server with a calm end, answers at the pace of their readers, and bounds for callers."""

    def __init__(
        self,
        application: Any,
        *,
        deadlines: Deadlines | None = None,
        limiter: ConnectionLimiter | None = None,
        **kwargs: Any,
    ) -> None:
        # Autobahn's bounds are off: `BoundedSocket` has its own.
        super().__init__(drop_bodies(application), websocket_max_message_size=0, websocket_max_frame_size=0, **kwargs)
        self.deadlines, self.limiter = deadlines or Deadlines(), limiter or ConnectionLimiter(0)
        self.ports: list[Any] = []

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Daphne's says at once that a piece is sent: here whoever makes the next one waits until there is room."""
        await super().handle_reply(protocol, message)
        if message.get("more_body") or isinstance(protocol, BoundedSocket):
            await protocol.has_room()

    def listen_success(self, port: Any) -> None:
        """Daphne forgets the ports, which have to be closed first when the process ends."""
        self.ports.append(port)
        super().listen_success(port)

    def kill_all_applications(self) -> "defer.Deferred[None]":
        """Called by the reactor before it stops, which waits for the result. Daphne's cancels everything at once."""
        return defer.Deferred.fromFuture(asyncio.ensure_future(self._end()))

    async def _end(self) -> None:
        for port in self.ports:
            port.stopListening()
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._unanswered() and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        # In a thread of its own: those of the loop may all be waiting for the database.
        await asyncio.get_running_loop().run_in_executor(ThreadPoolExecutor(1), shutdown.run_hooks)
        running = [one["application_instance"] for one in self.connections.values() if "application_instance" in one]
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _unanswered(self) -> bool:
        return any(
            isinstance(protocol, BoundedRequest)
            and not protocol.is_under_way()
            and "application_instance" in details
            and not details["application_instance"].done()
            for protocol, details in self.connections.items()
        )


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
