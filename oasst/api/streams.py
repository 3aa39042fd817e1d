"""Stream long responses in constant memory, at the pace of the client, and only a few at a time.

The lines are produced synchronously, perhaps in a transaction, so each stream has its own thread and database
connection. A short queue connects the thread with the event loop: a slow client pauses the thread, and a disconnect
ends it and its transaction at once.
"""

import asyncio
import queue
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterator

from django.db import connection
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.cache import patch_vary_headers

from oasst.core.errors import Busy
from oasst.core.http.compression import accepts_gzip, gzip_stream

MAX_STREAMS = 2  # streams per process: each holds a connection of the pool
CHUNK_BYTES = 64 * 1024  # bytes per chunk
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
    # Free the slot when neither the client nor the thread refers to the source, however they ended.
    weakref.finalize(source, _slots.release)
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


class _Source:
    """Chunks that a thread produces for one client."""

    def __init__(self, chunks: Generator[bytes]) -> None:
        self.chunks = chunks
        self.queue: queue.Queue[bytes | BaseException | None] = queue.Queue(_QUEUE_SIZE)
        self.disconnected = threading.Event()

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
                if chunk is None:
                    return
                if isinstance(chunk, BaseException):
                    raise chunk
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
        self._put(last, notify)

    def _put(self, chunk: bytes | BaseException | None, notify: Callable[[], None]) -> bool:
        """Return False if the client has disconnected."""
        while not self.disconnected.is_set():
            try:
                self.queue.put(chunk, timeout=0.2)
            except queue.Full:
                continue
            notify()
            return True
        return False
