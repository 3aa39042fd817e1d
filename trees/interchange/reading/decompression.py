"""The bytes of a file, decompressed by what its first bytes say and not by its name, within limits.

A few bytes can decompress to terabytes, so a reader of uploaded or downloaded files has to stop in time.
"""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import IO, Protocol, cast

import zstandard
from typing_extensions import Buffer

from oasst.core.errors import Invalid
from trees.interchange.progress import Advance

GZIP, ZSTD, PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
# Real data sets expand up to 60 times; bombs by gzip 1,000 times, by zstd 10,000 times and more.
MAX_RATIO = 300
FREE_BYTES = 10_000_000  # small files of repeated lines may expand more
MAX_BYTES = 256 * 2**30
# One kilobyte of zstd holds at most 256 blocks of 128 KiB, so a step decompresses at most 32 MiB.
_ZSTD_STEP = 1024
_ZSTD_WINDOW = 2**27  # bytes of memory that a file may ask for; zstd itself uses at most this unless told otherwise
_OTHERS = {
    b"PK\x03\x04": "a ZIP archive",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"7z\xbc\xaf": "a 7z archive",
    b"ustar": "a tar archive",
}


class Source(RawIOBase):
    """An open file that reports how many bytes are read from the disk."""

    def __init__(self, path: Path, advance: Advance | None = None) -> None:
        self._file, self._advance = path.open("rb", buffering=0), advance

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def readinto(self, buffer: Buffer, /) -> int | None:
        number = self._file.readinto(buffer)
        if number and self._advance is not None:
            self._advance(number)
        return number

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()


def first_bytes(path: Path) -> bytes:
    """Return up to eight bytes. Raise Invalid for what cannot be a data set, OSError if it cannot be read."""
    if path.is_dir():
        raise Invalid("is a folder; name the files in it", code="unreadable")
    if path.exists() and not path.is_file():  # it is opened several times, and each reading of a pipe takes bytes away
        raise Invalid("is a pipe; write it to a file first", code="unreadable")
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise Invalid("is empty", code="unreadable")
    for magic, what in _OTHERS.items():
        if start.startswith(magic):
            raise Invalid(f"is {what}; unpack it first (.gz and .zst are read as they are)", code="unreadable")
    return start


@contextmanager
def decompressed(path: Path, advance: Advance | None = None) -> Iterator[IO[bytes]]:
    """Yield the bytes of a plain, gzip or zstd file.

    Reading raises Invalid beyond the limits, OSError, EOFError, zlib.error or zstandard.ZstdError for damaged files.
    """
    start = first_bytes(path)
    with Source(path, advance) as source:
        if start.startswith(GZIP):
            unpacked: _Reads = gzip.GzipFile(fileobj=cast(IO[bytes], BufferedReader(source)))
        elif start.startswith(ZSTD):
            unpacked = _ZstdFrames(source)
        else:
            yield BufferedReader(source, 2**20)
            return
        with BufferedReader(_Limited(unpacked, source), 2**18) as file:
            yield file


UNREADABLE = (OSError, EOFError, zlib.error, zstandard.ZstdError)
"""What damaged or unreachable files raise."""


class _Reads(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _ZstdFrames:
    """Reads zstd frames, and notices a truncated last one, which `zstandard`'s own streams take for the end."""

    def __init__(self, source: RawIOBase) -> None:
        self._file = BufferedReader(source)
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._frame = self._decompressor.decompressobj()
        self._is_inside = False
        self._ready = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        while not self._ready:
            packed = self._file.read(_ZSTD_STEP)
            if not packed:
                if self._is_inside:
                    raise EOFError("the compressed file ended before its end marker")
                return b""
            self._ready = memoryview(self._decompress(packed))
        part = self._ready[:size]
        self._ready = self._ready[size:]
        return bytes(part)

    def _decompress(self, packed: bytes) -> bytes:
        parts = []
        while packed:
            parts.append(self._frame.decompress(packed))
            self._is_inside, packed = not self._frame.eof, b""
            if self._frame.eof:
                packed = self._frame.unused_data
                self._frame = self._decompressor.decompressobj()
        return b"".join(parts)


class _Limited(RawIOBase):
    """Decompressed bytes, as long as they are a plausible multiple of the compressed ones."""

    def __init__(self, file: _Reads, source: Source) -> None:
        self._file, self._source = file, source
        self._total = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        with memoryview(buffer).cast("B") as target:
            data = self._file.read(len(target))
            target[: len(data)] = data
        self._total += len(data)
        if self._total > max(FREE_BYTES, MAX_RATIO * self._source.tell()) or self._total > MAX_BYTES:
            raise Invalid(
                f"decompresses to more than {MAX_RATIO} times its size, or to more than {MAX_BYTES // 2**30} GiB: "
                "if you trust it, unpack it first",
                code="too_large",
            )
        return len(data)
