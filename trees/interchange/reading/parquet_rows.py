"""The rows of a Parquet file, in constant memory.

`arro3` panics on a damaged footer: it prints a stack trace and raises a BaseException. Both end here.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from arro3.core import RecordBatchReader
from arro3.io import read_parquet

from oasst.core.errors import Invalid
from trees.interchange.progress import Advance
from trees.interchange.reading.decompression import PARQUET, Source

# Each text of a page may have the size of the whole page, so few rows are decoded at a time.
ROWS = 256
_NOT_JSON = re.compile("Timestamp|Date|Time|Duration|Decimal|Binary|Map|Interval")
_FOOTER = 8  # bytes: the length of the metadata, and the magic number


def read_rows(path: Path, advance: Advance | None = None) -> Iterator[tuple[int, int, Callable[[], dict[str, Any]]]]:
    """Yield (row number, bytes, row as JSON has it). Raise Invalid without the file's name; so may the row."""
    with Source(path, advance) as file:
        _check_ends(file)
        number = 0
        reader = _open(file)
        while (batch := _next_batch(reader, number)) is not None:
            size = batch.nbytes // max(1, batch.num_rows)
            names, columns = batch.column_names, [batch.column(index) for index in range(batch.num_columns)]
            is_json = not any(_NOT_JSON.search(str(column.type)) for column in columns)
            for values in zip(*(column.to_pylist() for column in columns), strict=True):
                number += 1
                row = dict(zip(names, values, strict=True))
                yield number, size, partial(_unchanged if is_json else _plain, row)
        if not number:
            raise Invalid("has no rows", code="unreadable")


def _unchanged(row: dict[str, Any]) -> dict[str, Any]:
    return row


def _plain(value: Any) -> Any:
    """Return the value as JSON has it. Raise Invalid for bytes that are no text."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise Invalid("a column holds bytes that are no UTF-8", code="unreadable") from None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _check_ends(file: Source) -> None:
    """Raise Invalid for a truncated file: the most frequent damage, told without a panic."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - _FOOTER))
    footer = file.read(_FOOTER) or b""
    length = int.from_bytes(footer[:4], "little")
    if end < 3 * len(PARQUET) or not footer.endswith(PARQUET) or length > end - _FOOTER - len(PARQUET):
        raise Invalid("cannot be read: the Parquet file is truncated", code="unreadable")
    file.seek(0)


def _open(file: Source) -> RecordBatchReader:
    try:
        with _quiet_panics():
            return read_parquet(cast(IO[bytes], file), batch_size=ROWS)
    except BaseException as error:
        raise _unreadable(error, 0) from error


def _next_batch(reader: RecordBatchReader, after: int) -> Any:
    try:
        with _quiet_panics():
            return reader.read_next_batch()
    except StopIteration:
        return None
    except BaseException as error:
        raise _unreadable(error, after) from error


def _unreadable(error: BaseException, after: int) -> BaseException:
    if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
        return error
    where = f" after row {after}" if after else ""
    reason = f": {str(error)[:200]}" if isinstance(error, Exception) else ""  # a panic speaks of its own code
    return Invalid(f"cannot be read{where}: the Parquet file is damaged{reason}", code="unreadable")


@contextmanager
def _quiet_panics() -> Iterator[None]:
    """Drop what is written to standard error meanwhile: Rust's own message of a panic, which nobody can turn off."""
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
