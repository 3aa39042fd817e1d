"""Files that appear only when they are complete, and what else a name may lead to: pipes, devices, links."""

import errno
import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import IO, cast

from oasst.core.errors import Invalid

# What stands here leads to a file that somebody has opened already, such as /dev/stdout. Of another file in its place
# they would not know.
_OPEN_FILES = (Path("/dev/fd"), Path("/dev/stdout"), Path("/dev/stderr"), Path("/proc"))


@contextmanager
def complete_file(output: Path) -> Iterator[Path]:
    """A file to write, beside `output`, which takes its name when the block ends without an error.

    Otherwise what stood under the name stays. A link goes on to lead to its file. Pipes and devices are written
    themselves. Raises Invalid where it cannot be written.
    """
    if output.is_dir():
        raise Invalid(f"{output}: is a folder; name a file.", code="output")
    partial = None
    try:
        if is_flowing(output):
            yield output
            return
        target = _behind_links(output)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        yield partial
        partial.replace(target)
    except OSError as error:
        raise Invalid(f"{output}: cannot be written: {error.strerror or error}", code="output") from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def is_flowing(output: Path) -> bool:
    """Is it written as it comes: a pipe, a device, or what is open already?"""
    absolute = output.absolute()
    if any(absolute == one or one in absolute.parents for one in _OPEN_FILES):
        return True
    try:
        return not S_ISREG(output.stat().st_mode)
    except OSError:  # not there yet, or not to be reached, which writing will tell
        return False


def folder_with_room(output: Path | None) -> Path | None:
    """Where there is room for all that comes into `output`: beside it; None where nothing says so."""
    if output is None or is_flowing(output):
        return None
    try:
        return _behind_links(output).parent
    except OSError:  # writing will tell
        return None


def _behind_links(output: Path) -> Path:
    """Raises OSError where links lead in a circle, whatever the version of Python."""
    found = Path(os.path.realpath(output))
    if found.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return found


@contextmanager
def text_file(output: Path) -> Iterator[IO[str]]:
    """A `complete_file` of UTF-8 text, compressed if its name ends in .gz."""
    opener = gzip.open if output.suffix == ".gz" else open
    with complete_file(output) as partial, opener(partial, "wt", encoding="utf-8", newline="\n") as file:
        yield cast(IO[str], file)
