"""Send a file: whole, as the part that a Range header asks for, or as 304, in constant memory (RFC 9110, 13 and 14).

A slow reader holds an open file, but no thread and no database connection.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator
from typing import BinaryIO

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response

CHUNK_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes\s*=\s*(?:(\d{1,18})\s*-\s*(\d{1,18})?|-\s*(\d{1,18}))\s*", re.ASCII | re.IGNORECASE)


class RangeNotSatisfiable(Exception):
    """The range begins after the end of the file."""


def file_response(
    request: HttpRequest, file: BinaryIO, *, etag: str, content_type: str, filename: str, inline: bool = False
) -> HttpResponseBase:
    """Return the response to a GET or HEAD. The file is closed with the response, at once if it is not needed.

    `etag` must be strong, with its quotes. Several ranges at once are answered with the whole file, as the RFC allows.
    """
    response = get_conditional_response(request, etag=etag) or _content(request, file, etag, content_type)
    if not response.streaming:
        file.close()
    response["ETag"], response["Accept-Ranges"] = etag, "bytes"
    response["Content-Disposition"] = f'{"inline" if inline else "attachment"}; filename="{filename}"'
    return response


def _content(request: HttpRequest, file: BinaryIO, etag: str, content_type: str) -> HttpResponseBase:
    size = os.fstat(file.fileno()).st_size
    header = request.headers.get("Range", "")
    if request.method != "GET" or request.headers.get("If-Range", etag) != etag:
        header = ""  # a part of another version would be useless
    response: HttpResponseBase
    try:
        part = parse_range(header, size)
    except RangeNotSatisfiable:
        # Not empty, so that no page with other headers replaces it.
        response = HttpResponse(f"The file has {size} bytes.\n", status=416, content_type="text/plain")
        response["Content-Range"] = f"bytes */{size}"
        return response
    wanted = part or range(size)
    if request.method == "HEAD":
        response = HttpResponse(content_type=content_type)
    else:
        # Without an event loop, as in tests, the caller reads in this thread.
        reader = _Reader(file, wanted)
        content = reader.read() if hasattr(request, "scope") else reader.read_sync()
        response = StreamingHttpResponse(content, content_type=content_type)
        response._resource_closers.append(file.close)  # type: ignore[attr-defined]
    if part is not None:
        response.status_code = 206
        response["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    response["Content-Length"] = str(len(wanted))
    return response


def parse_range(header: str, size: int) -> range | None:
    """Return the positions that a Range header asks for, or None for the whole file: also if it is not understood.

    Raise RangeNotSatisfiable.
    """
    found = _RANGE.fullmatch(header)
    if found is None:
        return None
    first, last, suffix = (int(text) if text is not None else None for text in found.groups())
    if suffix is not None:
        wanted = range(max(size - suffix, 0), size)
    else:
        assert first is not None
        if last is not None and last < first:
            return None
        wanted = range(first, min(size if last is None else last + 1, size))
    if not wanted:
        raise RangeNotSatisfiable
    return wanted


class _Reader:
    """The bytes of a file at some positions, in chunks."""

    def __init__(self, file: BinaryIO, positions: range) -> None:
        self._file, self._left = file, len(positions)
        file.seek(positions.start)

    def read_sync(self) -> Iterator[bytes]:
        while chunk := self._next():
            yield chunk

    async def read(self) -> AsyncIterator[bytes]:
        while chunk := await asyncio.to_thread(self._next):
            yield chunk

    def _next(self) -> bytes:
        chunk = self._file.read(min(CHUNK_BYTES, self._left))
        if self._left and not chunk:
            # The connection breaks, so that nobody takes what was sent for the whole file.
            raise OSError("the file became shorter while it was sent")
        self._left -= len(chunk)
        return chunk
