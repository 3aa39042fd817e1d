"""Long answers that are made while they are read: in constant memory, at the pace of the reader, for a few at a time.

Making them is synchronous and may hold a transaction, so it has a thread of its own, and with it a connection to the
database of its own. Between that thread and the event loop stands a short queue: a slow reader stops the thread, and
one who leaves ends it, so that its transaction is closed at once.
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
from oasst.core.http.compression import gzipped, takes_gzip

AT_ONCE = 2  # in this process: each holds a connection of the pool
PIECE = 64 * 1024  # bytes that are sent together
_AHEAD = 4  # pieces that are made before somebody wants them
_places = threading.BoundedSemaphore(AT_ONCE)


def stream(lines: Iterator[str], media: str, request: HttpRequest) -> StreamingHttpResponse:
    """An answer of these lines. Raises Busy `streams_full`."""
    if not _places.acquire(blocking=False):
        raise Busy("Other long answers are being sent right now.", code="streams_full", retry_after=30)
    packed = takes_gzip(request)
    # In the thread that makes the pieces, not on the event loop.
    source = _Source(gzipped(_pieces(lines)) if packed else _pieces(lines))
    # When nothing holds the source any more, neither a reader nor its thread, whichever way they ended.
    weakref.finalize(source, _places.release)
    # Without an event loop the server reads in this thread, as tests do.
    content = source.read() if hasattr(request, "scope") else source.here()
    if not connection.in_atomic_block:
        connection.close()  # that of the request would stay taken until the end of the answer
    response = StreamingHttpResponse(content, content_type=media)
    response["Cache-Control"] = "private, no-store"
    patch_vary_headers(response, ("Accept-Encoding",))
    if packed:
        response["Content-Encoding"] = "gzip"
    return response


def _pieces(lines: Iterator[str]) -> Generator[bytes]:
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line.encode() + b"\n")
        size += len(held[-1])
        if size >= PIECE:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


class _Source:
    """Pieces from a thread, for one reader."""

    def __init__(self, pieces: Generator[bytes]) -> None:
        self.pieces = pieces
        self.ready: queue.Queue[bytes | BaseException | None] = queue.Queue(_AHEAD)
        self.left = threading.Event()

    def here(self) -> Iterator[bytes]:
        yield from self.pieces

    async def read(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        news = asyncio.Event()

        def tell() -> None:
            loop.call_soon_threadsafe(news.set)

        threading.Thread(target=self._make, args=(tell,), name="stream", daemon=True).start()
        try:
            while True:
                news.clear()
                try:
                    piece = self.ready.get_nowait()
                except queue.Empty:
                    await news.wait()
                    continue
                if piece is None:
                    return
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            self.left.set()

    def _make(self, tell: Callable[[], None]) -> None:
        last: BaseException | None = None
        try:
            for piece in self.pieces:
                if not self._put(piece, tell):
                    break
        except Exception as error:
            last = error  # cuts the answer short, so that nobody takes it for whole
        finally:
            self.pieces.close()
            connection.close()
        self._put(last, tell)

    def _put(self, piece: bytes | BaseException | None, tell: Callable[[], None]) -> bool:
        """False when the reader has left."""
        while not self.left.is_set():
            try:
                self.ready.put(piece, timeout=0.2)
            except queue.Full:
                continue
            tell()
            return True
        return False
