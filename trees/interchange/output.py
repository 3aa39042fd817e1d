"""Output files that appear only when complete, and other targets: pipes, devices, links."""

import errno
import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from stat import S_ISREG
from typing import IO, BinaryIO, cast

import zstandard

from oasst.core.errors import Invalid

# These lead to files that are open already, such as /dev/stdout: their readers would not see a replacement.
_OPEN_FILES = (Path("/dev/fd"), Path("/dev/stdout"), Path("/dev/stderr"), Path("/proc"))


@contextmanager
def complete_file(output: Path) -> Iterator[Path]:
    """Yield a file to write beside `output`, which replaces it when the block ends without an error.

    After an error the former file stays. Links are followed; pipes and devices are written directly. Raise Invalid if
    it cannot be written.
    """
    if output.is_dir():
        raise Invalid(f"{output}: is a folder; name a file.", code="output")
    partial = None
    try:
        if is_stream(output):
            yield output
            return
        target = _resolve(output)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        yield partial
        partial.replace(target)
    except OSError as error:
        raise Invalid(f"{output}: cannot be written: {error.strerror or error}", code="output") from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def is_stream(output: Path) -> bool:
    """Return True for a pipe, a device, or an open file: they are written directly."""
    absolute = output.absolute()
    if any(absolute == path or path in absolute.parents for path in _OPEN_FILES):
        return True
    try:
        return not S_ISREG(output.stat().st_mode)
    except OSError:  # missing or unreachable; writing will report it
        return False


def spool_folder(output: Path | None) -> Path | None:
    """Return the folder of `output`, which has to have room for it anyway, or None if unknown."""
    if output is None or is_stream(output):
        return None
    try:
        return _resolve(output).parent
    except OSError:  # writing will report it
        return None


def _resolve(output: Path) -> Path:
    """Follow links. Raise OSError for circular ones in every version of Python."""
    target = Path(os.path.realpath(output))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return target


@contextmanager
def text_file(output: Path) -> Iterator[IO[str]]:
    """Yield a `complete_file` of UTF-8 text, compressed if its name ends in .gz or .zst."""
    with complete_file(output) as partial, _compressor(output.suffix)(partial) as file:
        text = TextIOWrapper(file, encoding="utf-8", newline="\n")
        yield text
        text.flush()
        text.detach()


def _compressor(suffix: str) -> Callable[[Path], BinaryIO]:
    if suffix == ".gz":
        return lambda path: cast(BinaryIO, gzip.open(path, "wb"))
    if suffix == ".zst":
        return lambda path: cast(BinaryIO, zstandard.open(path, "wb", zstandard.ZstdCompressor(write_checksum=True)))
    return lambda path: path.open("wb")
