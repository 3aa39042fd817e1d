"""The web server: daphne in this process, on its own socket or on one that the supervisor holds open.

It adds to daphne: a graceful shutdown that also stops background work, a time limit that spares streamed responses, and
limits for the memory, connections and time of one client. Each override says what of daphne, twisted or autobahn it
fixes; docs/decisions/0104-the-web-server-overrides-only-what-daphne-gets-wrong.md lists them with their tests.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

# Daphne installs the asyncio reactor, so its import must precede everything that touches twisted.
import daphne.server  # isort: skip
from channels.routing import get_default_application
from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from django.conf import settings
from twisted.internet import defer, reactor
from twisted.web.http import RESPONSES, HTTPChannel, _MalformedChunkedDataError

from oasst.core import shutdown
from oasst.core.http.bodiless_responses import drop_bodies
from oasst.core.http.connection_limits import ConnectionLimiter, Deadlines, raise_open_file_limit
from oasst.core.http.plain_responses import PLAIN_HEADERS, plain_refusal

ANSWER_SECONDS = 120
"""A request without a response after this time gets a 503."""
PATHS_WITH_OWN_DEADLINE = (b"/v1/chat/completions",)
"""Paths whose turn has its own deadline. Shutdown does not wait for them: their client retries."""
STALLED_SECONDS = 120
"""How long a client may read nothing of a streamed response, which holds memory and perhaps a transaction."""
DRAIN_SECONDS = 10
"""How long requests may still take after the process was told to stop."""
METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
"""Others are refused, because the metrics count by method and invented ones would fill them."""
MAX_BODY_BYTES = 5_000_000
"""Bytes. Twice the limit of a form in Django, so that Django refuses most bodies with its own message."""
MAX_CHUNKS = 1000
"""For a body without a length; each `BYTES_PER_CHUNK` received allow one more."""
BYTES_PER_CHUNK = 64
MAX_MESSAGE_BYTES = 1024
"""Bytes of a WebSocket message. The only message that clients send is "stop"."""
MAX_FRAMES = 20
"""WebSocket frames of any kind within `FRAMES_SECONDS`. Browsers answer a ping every 20 seconds."""
FRAMES_SECONDS = 10
MAX_QUEUED_MESSAGES = 10
"""WebSocket messages that wait for the consumer."""


class BoundedChannel(HTTPChannel):
    """One connection. Twisted restarts its only time limit with each byte, and accepts any number of connections."""

    _deadline: Any = None
    _body_started = 0.0

    def connectionMade(self) -> None:
        """Prevent one address from taking all connections, and headers that arrive byte by byte forever."""
        super().connectionMade()
        if self.factory.server.limiter.admits(self.transport):
            self._set_deadline(self.factory.server.deadlines.head, self._on_late_headers)
        else:
            self.refuse(b"503 Service Unavailable", b"Retry-After: 5\r\n")

    def allHeadersReceived(self) -> None:
        """Start the deadline of the body, which could arrive byte by byte as well."""
        super().allHeadersReceived()
        self._body_started = time.monotonic()
        self._set_deadline(self.factory.server.deadlines.body, self._check_pace)

    def allContentReceived(self) -> None:
        """End the deadline: the response, or the WebSocket that takes over the connection, has its own limits."""
        self._set_deadline(None)
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        """Limit how long a kept connection waits for a request, and a closing one for a client that stops reading."""
        # Before super(), because the buffer may already hold the next request, which sets its own deadline.
        self._set_deadline(self.factory.server.deadlines.idle, self._on_late_headers)
        if not self.persistent:
            self._set_deadline(self.factory.server.deadlines.draining, self.forceAbortClient)
        super().requestDone(request)

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]  # as HTTPChannel has it
        """Cancel the timer, which would keep the lost connection in memory until it fires."""
        self._set_deadline(None)
        super().connectionLost(reason)

    def _set_deadline(self, seconds: float | None, callback: Any = None) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = self.callLater(seconds, callback) if seconds is not None else None

    def _on_late_headers(self) -> None:
        if self._receivedHeaderSize or self._buffer:
            self.refuse(b"408 Request Timeout")
        else:  # no request has started: the connection was kept, or opened in advance
            self.timeoutConnection()

    def _check_pace(self) -> None:
        """Extend the deadline for each byte received, so a slow line may finish but an idle client may not."""
        deadlines, content = self.factory.server.deadlines, self.requests[-1].content
        allowed = deadlines.body + (content.tell() if content else 0) / deadlines.pace
        remaining = allowed - (time.monotonic() - self._body_started)
        if remaining > 0:
            self._set_deadline(remaining, self._check_pace)
        else:
            self.refuse(b"408 Request Timeout")

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Replace twisted's 400, which lacks a body and the headers that all our responses have."""
        self.refuse(b"400 Bad Request")

    def refuse(self, status: bytes, headers: bytes = b"") -> None:
        """Send a last response and close the connection. It is aborted if the client does not read it."""
        self._set_deadline(None)
        transport: Any = self.transport
        transport.write(plain_refusal(status, headers))
        self.timeoutConnection()


class Backpressure:
    """Send a response only as fast as its client reads it, and cut off a client that reads nothing for long.

    Daphne hands every chunk to the connection at once, so a whole export would lie in memory. As a push producer
    (twisted's word) this class is told when the connection has enough.
    """

    _stalled: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._writable = asyncio.Event()
        self._writable.set()

    async def wait_until_writable(self) -> None:
        """Wait until the client has read what was sent, or is gone."""
        await self._writable.wait()

    def pauseProducing(self) -> None:
        self._writable.clear()
        if self._stalled is None:
            self._stalled = reactor.callLater(STALLED_SECONDS, self._cut_off)  # type: ignore[arg-type]

    def resumeProducing(self) -> None:
        self._writable.set()
        if self._stalled is not None and self._stalled.active():
            self._stalled.cancel()
        self._stalled = None

    def stopProducing(self) -> None:
        """Do nothing: `connectionLost` is called too, even where autobahn has forgotten its producer."""

    def connectionLost(self, reason: Any) -> None:
        """Wake the coroutines in `wait_until_writable`, which daphne otherwise kills only after ten seconds."""
        self.resumeProducing()
        super().connectionLost(reason)  # type: ignore[misc]

    def _cut_off(self) -> None:
        raise NotImplementedError


class BoundedRequest(Backpressure, WebRequest):
    """A request and its response.

    Daphne reads a whole body into memory before our code runs, so one client could send without end.
    """

    _refused = False
    _chunks, _has_length = 0, True
    # Daphne's own template names daphne, and has a style that our Content-Security-Policy forbids.
    error_template = "<!doctype html><html lang=en><title>%(title)s</title><h1>%(title)s</h1><p>%(body)s</p></html>"

    # --- The request ---

    def gotLength(self, length: int | None) -> None:
        """Refuse a body that is announced as too large. Twisted has no limit."""
        super().gotLength(length)
        self._has_length = length is not None
        if length is not None and length > MAX_BODY_BYTES:
            self._refuse(b"413 Content Too Large")

    def handleContentChunk(self, data: bytes) -> None:
        """Refuse a body without a length that grows too large, or whose tiny chunks block the event loop."""
        if self._refused:
            return
        if self.content.tell() + len(data) > MAX_BODY_BYTES:
            self._refuse(b"413 Content Too Large")
            return
        super().handleContentChunk(data)
        self._chunks += 1
        if not self._has_length and self._chunks > MAX_CHUNKS + self.content.tell() // BYTES_PER_CHUNK:
            raise _MalformedChunkedDataError("small chunks")  # the only way to stop reading; the channel sends a 400

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Start the request, but refuse unknown methods.

        Twisted's version parses query and form on the event loop (18 ms for 16 kB of "&"), and Django does so again.
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

    # --- The response ---

    def handle_reply(self, message: dict[str, Any]) -> None:
        """Register the producer for `Backpressure`, which daphne does not."""
        has_more = message.get("more_body", False)
        if has_more and self.producer is None and self.channel is not None:
            self.registerProducer(self, True)
        elif message["type"] == "http.response.body" and not has_more and self.producer is self:
            self.unregisterProducer()
        super().handle_reply(message)

    def handle_exception(self, exception: BaseException) -> None:
        """Abort a response that has started, so that nobody takes it for complete.

        Daphne's version raises there, which stops its timeout checks of all connections.
        """
        if self._response_started:
            self._cut_off()
        else:
            super().handle_exception(exception)

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Add the headers that all our responses have to daphne's error pages."""
        for name, value in PLAIN_HEADERS:
            self.responseHeaders.setRawHeaders(name, [value])
        super().basic_error(status, status_text, body)

    def may_continue(self) -> bool:
        """Return True if the response has started, or starts as soon as the model is free."""
        return self._response_started or self.path.rstrip(b"/") in PATHS_WITH_OWN_DEADLINE

    def check_timeouts(self) -> None:
        """Apply daphne's time limit only up to the first byte, so that token streams and large exports continue."""
        if not self.may_continue():
            super().check_timeouts()

    def _cut_off(self) -> None:
        if self.channel is not None:
            self.channel.forceAbortClient()


class BoundedWebSocket(Backpressure, WebSocketProtocol):
    """A WebSocket that cuts off clients that send too much.

    Daphne reads and keeps all messages, however slow the consumer is. Small frames cost most: one read may bring ten
    thousand, which block the event loop.
    """

    _window, _frames = 0.0, 0

    def dataReceived(self, data: bytes) -> None:
        """Refuse data before the handshake is answered (RFC 6455, 4.1): autobahn would read it as a second one."""
        if hasattr(self, "handshake_deferred"):
            self._cut_off()
            return
        super().dataReceived(data)
        if self.data and hasattr(self, "handshake_deferred"):
            self._cut_off()  # a body came with the handshake

    def onOpen(self) -> None:
        """Replace the producer, which is still that of the HTTP connection."""
        super().onOpen()
        self.unregisterProducer()
        self.registerProducer(self, True)

    def onFrameBegin(self) -> None:
        """Limit the frame rate. Called for every frame: also pings, fragments, and frames while closing."""
        now = time.monotonic()
        if now - self._window >= FRAMES_SECONDS:
            self._window, self._frames = now, 0
        self._frames += 1
        if self._frames > MAX_FRAMES:
            self._cut_off()
        else:
            super().onFrameBegin()

    def onMessageFrameBegin(self, length: int) -> None:
        """Limit incoming messages only: autobahn's limit would also abort long answers."""
        super().onMessageFrameBegin(length)
        if self.message_data_total_length > MAX_MESSAGE_BYTES:
            self._cut_off()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Limit the queue for the consumer, which is unbounded in daphne."""
        if self.application_queue.qsize() >= MAX_QUEUED_MESSAGES:
            self._cut_off()
        else:
            super().onMessage(payload, isBinary)

    def handle_reply(self, message: dict[str, Any]) -> None:
        """Drop messages to a client that is gone, for which autobahn would raise."""
        if self.state in (self.STATE_CONNECTING, self.STATE_OPEN):
            super().handle_reply(message)

    def _cut_off(self) -> None:
        """Close without a closing handshake, because the client may not read it."""
        if self.state == self.STATE_CONNECTING:
            self.serverReject()
        else:
            self.dropConnection(abort=True)
            self.transport.abortConnection()  # also if it was closing and waited for its client


# Daphne has no settings for its classes of a connection, a request and a WebSocket.
HTTPFactory.protocol = BoundedChannel
daphne.http_protocol.WebRequest = BoundedRequest
WebSocketFactory.protocol = BoundedWebSocket
# RequestLog (oasst.core.http.middleware) logs requests; twisted's log line cost a millisecond and went nowhere.
HTTPFactory.log = lambda factory, request: None
# Twisted does not know 422, 429, 451 and others, and would send "Unknown Status".
RESPONSES.update({status.value: status.phrase.encode("ascii") for status in HTTPStatus})


class SiteServer(daphne.server.Server):
    """Daphne's server with a graceful shutdown, backpressure, and limits for clients."""

    def __init__(
        self,
        application: Any,
        *,
        deadlines: Deadlines | None = None,
        limiter: ConnectionLimiter | None = None,
        **kwargs: Any,
    ) -> None:
        # Autobahn's limits are off, because `BoundedWebSocket` has its own.
        super().__init__(drop_bodies(application), websocket_max_message_size=0, websocket_max_frame_size=0, **kwargs)
        self.deadlines, self.limiter = deadlines or Deadlines(), limiter or ConnectionLimiter(0)
        self.ports: list[Any] = []

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Make the application wait until the client can take more. Daphne returns at once."""
        await super().handle_reply(protocol, message)
        if message.get("more_body") or isinstance(protocol, BoundedWebSocket):
            await protocol.wait_until_writable()

    def listen_success(self, port: Any) -> None:
        """Remember the ports, which shutdown must close first."""
        self.ports.append(port)
        super().listen_success(port)

    def kill_all_applications(self) -> "defer.Deferred[None]":
        """Shut down gracefully: the reactor waits for this. Daphne's version cancels everything at once."""
        return defer.Deferred.fromFuture(asyncio.ensure_future(self._shut_down()))

    async def _shut_down(self) -> None:
        for port in self.ports:
            port.stopListening()
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._has_open_requests() and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        # In its own thread, because the default executor's threads may all be waiting for the database.
        await asyncio.get_running_loop().run_in_executor(ThreadPoolExecutor(1), shutdown.run_hooks)
        connections = self.connections.values()
        running = [details["application_instance"] for details in connections if "application_instance" in details]
        for application in running:
            application.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _has_open_requests(self) -> bool:
        return any(
            isinstance(protocol, BoundedRequest)
            and not protocol.may_continue()
            and "application_instance" in details
            and not details["application_instance"].done()
            for protocol, details in self.connections.items()
        )


def serve(descriptor: int) -> None:
    """Serve the site on a listening socket until SIGTERM or SIGINT."""
    limit = 0 if settings.TRUSTED_PROXIES else settings.CONNECTIONS_PER_ADDRESS
    SiteServer(
        application=get_default_application(),
        endpoints=[f"fd:fileno={descriptor}"],
        http_timeout=ANSWER_SECONDS,
        server_name="oasst",
        limiter=ConnectionLimiter(limit, in_all=raise_open_file_limit()),
    ).run()
