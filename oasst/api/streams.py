"""Stream long responses in constant memory, at the pace of the client, and only a few at a time.

The lines are produced synchronously, perhaps in a transaction, so each stream has its own thread and database
connection. A short queue connects the thread with the event loop: a slow client pauses the thread, and a disconnect
ends it and its transaction at once. So does a client that reads nothing for `STALLED_SECONDS`, or less than `PACE` in
the long run: otherwise two of them could keep everybody else from such answers.
"""

import asyncio
import queue
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterator

from django.db import connection
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.cache import patch_vary_headers

from oasst.core.errors import Busy
from oasst.core.http.compression import accepts_gzip, gzip_stream

MAX_STREAMS = 2  # streams per process: each holds a connection of the pool
CHUNK_BYTES = 64 * 1024  # bytes per chunk
STALLED_SECONDS = 60  # without any progress of the client
PATIENCE_SECONDS = 300  # for a stream of any size; larger ones get more time by PACE
PACE = 32 * 1024  # bytes per second that a client must read on average after that
_QUEUE_SIZE = 4  # chunks produced ahead
_slots = threading.BoundedSemaphore(MAX_STREAMS)


def stream(lines: Iterator[str], media: str, request: HttpRequest) -> StreamingHttpResponse:
    """Return a streaming response of these lines. Raise Busy `streams_full`."""
    compress = accepts_gzip(request)
    # Compress in the thread of the stream, not on the event loop.
    response = stream_file(gzip_stream(_chunks(lines)) if compress else _chunks(lines), media, request)
    patch_vary_headers(response, ("Accept-Encoding",))
    if compress:
        response["Content-Encoding"] = "gzip"
    return response


def stream_file(chunks: Generator[bytes], media: str, request: HttpRequest) -> StreamingHttpResponse:
    """Return a streaming response of a file that is made while it is sent. Raise Busy `streams_full`."""
    if not _slots.acquire(blocking=False):
        raise Busy("Other long answers are being sent right now.", code="streams_full", retry_after=30)
    source = _Source(chunks)
    # Without an event loop, as in tests, the caller reads in this thread.
    content = source.read() if hasattr(request, "scope") else source.read_sync()
    if not connection.in_atomic_block:
        connection.close()  # otherwise the request would hold it until the end of the stream
    response = StreamingHttpResponse(content, content_type=media)
    response["Cache-Control"] = "private, no-store"
    return response


def _chunks(lines: Iterator[str]) -> Generator[bytes]:
    buffer: list[bytes] = []
    size = 0
    for line in lines:
        buffer.append(line.encode() + b"\n")
        size += len(buffer[-1])
        if size >= CHUNK_BYTES:
            yield b"".join(buffer)
            buffer, size = [], 0
    if buffer:
        yield b"".join(buffer)


class _ReadTooSlowly(Exception):
    """The client took too long. The response breaks off, so that nobody takes it for complete."""


class _Source:
    """Chunks that a thread produces for one client. Takes over the slot that the caller acquired."""

    def __init__(self, chunks: Generator[bytes]) -> None:
        self.chunks = chunks
        # The slot is free as soon as the thread is done, however long the client takes for the rest; or when nothing
        # refers to this any more, if no thread was ever started. Calling it twice frees it once.
        self.free_slot = weakref.finalize(self, _slots.release)
        self.queue: queue.Queue[bytes | BaseException | None] = queue.Queue(_QUEUE_SIZE)
        self.disconnected = threading.Event()
        self.read_too_slowly = False
        self.taken = 0  # bytes that the client took
        self.started = time.monotonic()

    def read_sync(self) -> Iterator[bytes]:
        yield from self.chunks

    async def read(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()

        def notify() -> None:
            loop.call_soon_threadsafe(ready.set)

        threading.Thread(target=self._produce, args=(notify,), name="stream", daemon=True).start()
        try:
            while True:
                ready.clear()
                try:
                    chunk = self.queue.get_nowait()
                except queue.Empty:
                    await ready.wait()
                    continue
                if self.read_too_slowly:
                    raise _ReadTooSlowly("the client took too long to read the answer")
                if chunk is None:
                    return
                if isinstance(chunk, BaseException):
                    raise chunk
                self.taken += len(chunk)
                yield chunk
        finally:
            self.disconnected.set()

    def _produce(self, notify: Callable[[], None]) -> None:
        last: BaseException | None = None
        try:
            for chunk in self.chunks:
                if not self._put(chunk, notify):
                    break
        except Exception as error:
            last = error  # aborts the response, so that nobody takes it for complete
        finally:
            self.chunks.close()
            connection.close()
            self.free_slot()
        self._put(last, notify)

    def _put(self, chunk: bytes | BaseException | None, notify: Callable[[], None]) -> bool:
        """Return False if the client has disconnected or reads too slowly."""
        waiting_since = time.monotonic()
        while not self.disconnected.is_set() and not self.read_too_slowly:
            try:
                self.queue.put(chunk, timeout=0.2)
            except queue.Full:
                self.read_too_slowly = self._is_too_slow(waiting_since)
                continue
            notify()
            return True
        return False

    def _is_too_slow(self, waiting_since: float) -> bool:
        now = time.monotonic()
        stalled = now - waiting_since > STALLED_SECONDS
        return stalled or now - self.started > PATIENCE_SECONDS + self.taken / PACE
