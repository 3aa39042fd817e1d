"""Rows as a Parquet file, from JSON lines: done outside Python, in constant memory."""

from io import FileIO
from pathlib import Path
from typing import IO

from arro3.core import DataType, Field, Schema
from arro3.io import read_json, write_parquet
from typing_extensions import Buffer

from trees.interchange.flat import COLUMNS, Type

Columns = dict[str, Type]

ROWS_IN_A_GROUP = 10_000  # readers and writers hold one group in memory
_SCALARS = {
    "string": DataType.string(),
    "int32": DataType.int32(),
    "float64": DataType.float64(),
    "bool": DataType.bool(),
}


def lines_to_parquet(lines: IO[bytes], output: Path, columns: Columns = COLUMNS) -> None:
    """Write JSON lines, each with all of `columns`, as a Parquet file. Raise OSError.

    The same lines give the same bytes with the same version of the library: it writes its version, and nothing else
    that varies.
    """
    with _ErrorKeepingFile(output, "w") as file:
        rows = read_json(lines, Schema(_fields(columns)))
        write_parquet(rows, file, compression="zstd(3)", max_row_group_size=ROWS_IN_A_GROUP)
    if file.error is not None:
        raise file.error


def _fields(columns: Columns) -> list[Field]:
    return [Field(name, _type(kind), nullable=True) for name, kind in columns.items()]


def _type(kind: Type) -> DataType:
    if isinstance(kind, dict):
        return DataType.struct(_fields(kind))
    if isinstance(kind, list):
        return DataType.list(Field("element", _type(kind[0]), nullable=True))
    return _SCALARS[kind]


class _ErrorKeepingFile(FileIO):
    """A file to write that stores its first error: arro3 prints a stack trace and panics if a write fails."""

    error: OSError | None = None

    def write(self, data: Buffer, /) -> int:
        if self.error is None:
            try:
                return super().write(data)
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes
