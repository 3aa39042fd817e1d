"""JSON lines in an order from which a reader learns the type of everything.

Programs that read JSON lines guess the types of a column from the first rows (the first ten megabytes in Hugging Face
`datasets`, a hundred rows elsewhere): where those hold only nulls, they refuse the first value that comes later. So the
lines that show the first value of anything go to the front. Memory does not grow with the number of lines.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import SEEK_END
from pathlib import Path as FilePath
from tempfile import TemporaryFile, gettempdir
from typing import IO, Any

from oasst.core.errors import Invalid
from oasst.core.json_lines import dump_line

Path = tuple[str, ...]


class Spool:
    """Groups of JSON lines in a temporary file, where they stay until all have been seen."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._seen: set[Path] = set()
        self._first: list[tuple[int, int]] = []  # from where to where each group stands that goes to the front
        self.count = 0

    def add(self, group: Iterable[Any]) -> None:
        """Write these values as lines, which stay together and in this order."""
        start = self._file.tell()
        shown: set[Path] = set()
        for value in group:
            self._file.write(dump_line(value).encode() + b"\n")
            shown |= typed_paths(value)
            self.count += 1
        if not shown <= self._seen:
            self._seen |= shown
            self._first.append((start, self._file.tell()))

    def lines(self) -> Iterator[str]:
        """All lines without their ends: first the groups that show a type, then the others, as they came."""
        end = self._file.seek(0, SEEK_END)
        for begin, until in self._first:
            yield from self._between(begin, until)
        passed = 0
        for begin, until in [*self._first, (end, end)]:
            yield from self._between(passed, begin)
            passed = until

    def whole(self) -> IO[bytes]:
        """The file with the lines as they came, to be read from its beginning."""
        self._file.seek(0)
        return self._file

    def _between(self, begin: int, until: int) -> Iterator[str]:
        self._file.seek(begin)
        while begin < until:
            line = self._file.readline()
            begin += len(line)
            yield line.decode().removesuffix("\n")


@contextmanager
def spool(folder: FilePath | None) -> Iterator[Spool]:
    """Its file has no name, so it goes with the process. `folder` is where there is room for all lines.

    Raises Invalid.
    """
    try:
        with TemporaryFile("w+b", dir=folder) as file:
            yield Spool(file)
    except OSError as error:
        where, reason = folder or gettempdir(), error.strerror or error
        raise Invalid(f"{where}: a temporary file cannot be written: {reason}", code="output") from error


def typed_first(groups: Iterable[Iterable[Any]], folder: FilePath | None) -> Iterator[str]:
    """The values as lines, once all have been read. See `spool`."""
    with spool(folder) as kept:
        for group in groups:
            kept.add(group)
        yield from kept.lines()


def typed_paths(value: Any) -> set[Path]:
    """Where in a JSON value something other than null stands; `[]` is the place of all elements of a list."""
    found: set[Path] = set()
    waiting: list[tuple[Path, Any]] = [((), value)]
    while waiting:
        path, one = waiting.pop()
        if one is None:
            continue
        found.add(path)
        if isinstance(one, dict):
            waiting.extend(((*path, key), part) for key, part in one.items())
        elif isinstance(one, list):
            waiting.extend(((*path, "[]"), part) for part in one)
    return found
