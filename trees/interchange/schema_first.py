"""JSON lines in an order from which a reader learns all types.

Programs that read JSON lines guess column types from the first rows (ten megabytes in Hugging Face `datasets`, a
hundred rows elsewhere); if those are all null, they refuse the first later value. So lines with the first value of
anything go to the front. Memory does not grow with the number of lines.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import SEEK_END
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO, Any

from oasst.core.errors import Invalid
from oasst.core.json_lines import dump_line

KeyPath = tuple[str, ...]


class Spool:
    """Groups of JSON lines in a temporary file until all have been seen."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._seen: set[KeyPath] = set()
        self._first: list[tuple[int, int]] = []  # start and end of each group that goes to the front
        self.count = 0

    def add(self, group: Iterable[Any]) -> None:
        """Write these values as lines, which stay together and in this order."""
        start = self._file.tell()
        paths: set[KeyPath] = set()
        for value in group:
            self._file.write(dump_line(value).encode() + b"\n")
            paths |= typed_paths(value)
            self.count += 1
        if not paths <= self._seen:
            self._seen |= paths
            self._first.append((start, self._file.tell()))

    def lines(self) -> Iterator[str]:
        """Yield all lines without line ends: first the groups that show a type, then the others in order."""
        end = self._file.seek(0, SEEK_END)
        for begin, stop in self._first:
            yield from self._between(begin, stop)
        passed = 0
        for begin, stop in [*self._first, (end, end)]:
            yield from self._between(passed, begin)
            passed = stop

    def whole(self) -> IO[bytes]:
        """Return the file with the lines in their original order, at its start."""
        self._file.seek(0)
        return self._file

    def _between(self, begin: int, stop: int) -> Iterator[str]:
        self._file.seek(begin)
        while begin < stop:
            line = self._file.readline()
            begin += len(line)
            yield line.decode().removesuffix("\n")


@contextmanager
def spool(folder: Path | None) -> Iterator[Spool]:
    """Yield a Spool in a temporary file without a name. `folder` has room for all lines. Raise Invalid."""
    try:
        with TemporaryFile("w+b", dir=folder) as file:
            yield Spool(file)
    except OSError as error:
        where, reason = folder or gettempdir(), error.strerror or error
        raise Invalid(f"{where}: a temporary file cannot be written: {reason}", code="output") from error


def typed_first(groups: Iterable[Iterable[Any]], folder: Path | None) -> Iterator[str]:
    """Yield the values as lines once all have been read. See `spool`."""
    with spool(folder) as spooled:
        for group in groups:
            spooled.add(group)
        yield from spooled.lines()


def typed_paths(value: Any) -> set[KeyPath]:
    """Return the paths of all values that are not null; `[]` stands for the elements of a list."""
    paths: set[KeyPath] = set()
    waiting: list[tuple[KeyPath, Any]] = [((), value)]
    while waiting:
        path, item = waiting.pop()
        if item is None:
            continue
        paths.add(path)
        if isinstance(item, dict):
            waiting.extend(((*path, key), part) for key, part in item.items())
        elif isinstance(item, list):
            waiting.extend(((*path, "[]"), part) for part in item)
    return paths
