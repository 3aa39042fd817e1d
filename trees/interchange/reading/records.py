"""The objects of a file with their places, whatever contains them: JSON Lines, one JSON array, or Parquet."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from oasst.core.errors import Invalid
from trees.interchange.progress import Advance
from trees.interchange.reading.decompression import PARQUET, UNREADABLE, decompressed, first_bytes
from trees.interchange.reading.json_values import LONGEST, parse_json, read_elements, read_lines
from trees.interchange.reading.parquet_rows import read_rows

_PEEKED = 2**16


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands, for people: "trees.jsonl, line 3"."""

    file: str
    number: int
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.number}"

    def refused(self, error: Invalid) -> Invalid:
        """Return the same refusal with this place before its reason."""
        return Invalid(f"{self}: {error.message}", code=error.code)


@dataclass(frozen=True, slots=True)
class Record:
    place: Place
    size: int  # bytes, roughly
    value: Callable[[], Any]
    """Parses the object. Raises Invalid without a place."""


def read_records(path: Path, advance: Advance | None = None) -> Iterator[Record]:
    """Yield the objects of a file. Raise Invalid with the file, and the line if it is known, where it cannot go on."""
    name, last = origin_of(path), 0
    try:
        if first_bytes(path).startswith(PARQUET):
            for number, size, row in read_rows(path, advance):
                last = number
                yield Record(Place(name, number, "row"), size, row)
            return
        with decompressed(path, advance) as file:
            for record in _json_records(file, name):
                last = record.place.number
                yield record
    except UNREADABLE as error:
        after = f" after line {last}" if last else ""
        raise Invalid(f"{name}: cannot be read{after}: {_reason(error)}", code="unreadable") from error
    except Invalid as error:
        if error.message.startswith(f"{name}, "):
            raise
        if line := error.details.get("line"):
            raise Place(name, line).refused(error) from error
        separator = " " if error.message.startswith(("is ", "decompresses ")) else ": "
        raise Invalid(f"{name}{separator}{error.message}", code=error.code) from error


def _json_records(file: IO[bytes], name: str) -> Iterator[Record]:
    start = cast(Any, file).peek(_PEEKED)[:_PEEKED].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"["):
        for number, size, element in read_elements(file):
            yield Record(Place(name, number), size, lambda element=element: element)  # type: ignore[misc]
        return
    is_empty = True
    for number, line in read_lines(file):
        is_empty = False
        yield Record(Place(name, number), len(line), partial(_value_of, line))
    if is_empty:
        raise Invalid("has nothing but blank lines", code="unreadable")


def _value_of(line: bytes) -> Any:
    if len(line) > LONGEST:
        raise Invalid(f"longer than {LONGEST / 1e6:.0f} MB", code="line_too_long")
    return parse_json(line)


def origin_of(path: Path) -> str:
    """Return the name of a file for messages and storage; on disk it may hold bytes that are not text."""
    return path.name.encode("utf-8", "replace").decode()


def _reason(error: Exception) -> str:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return reason if len(reason) <= 200 else f"{reason[:200]}…"
