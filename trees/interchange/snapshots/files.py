"""Write frozen trees as the files of a snapshot, in constant memory. No database.

The same trees give the same bytes with the same libraries and the same code.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from io import BufferedReader
from pathlib import Path
from typing import IO

import zstandard

from oasst.core.errors import Invalid
from trees.interchange.forms import FORMS, Form
from trees.interchange.parquet import lines_to_parquet
from trees.interchange.progress import CountDone
from trees.interchange.snapshots.canonical import SourceDigest, parse_record, row_line
from trees.interchange.snapshots.manifest import Part, trees_file
from trees.interchange.tree_record import SPLITS, TreeRecord

LEVEL = 6
CHUNK = 1_000_000  # bytes

Lines = Iterable[tuple[str, bytes]]
"""The id and the canonical JSON of each tree, in the order of the ids."""
Source = Callable[[str], Lines]
"""Returns the trees of a split."""


@dataclass
class Written:
    """What was found in the trees while they were written."""

    source: SourceDigest = field(default_factory=SourceDigest)
    trees: Counter[str] = field(default_factory=Counter)  # by split
    rows: Counter[Part] = field(default_factory=Counter)

    def trees_by_split(self) -> dict[str, int]:
        return {split: self.trees[split] for split in SPLITS}

    def rows_by_form(self) -> dict[str, dict[str, int]]:
        return {form.name: {split: self.rows[Part(form.name, split)] for split in SPLITS} for form in FORMS}


def write_files(
    trees: Source,
    folder: Path,
    *,
    progress: CountDone = lambda done: None,
    each: Callable[[TreeRecord], None] = lambda record: None,
) -> Written:
    """Write trees and rows into this folder, and call `each` with each tree. Raise OSError, and what `trees` raises."""
    written = Written()
    for split in SPLITS:  # each file that is open takes megabytes
        _write_split(split, trees(split), folder, written, progress, each)
    return written


def _write_split(
    split: str,
    lines: Lines,
    folder: Path,
    written: Written,
    progress: CountDone,
    each: Callable[[TreeRecord], None],
) -> None:
    parts = [(form, Part(form.name, split)) for form in FORMS]
    with ExitStack() as stack:
        trees = stack.enter_context(compressed(folder / trees_file(split)))
        files = [stack.enter_context(compressed(folder / part.lines)) for _, part in parts]
        for tree_id, line in lines:
            record = parse_record(line)
            written.source.add(tree_id, sha256(line).digest())
            written.trees[split] += 1
            trees.write(line + b"\n")
            for (form, part), file in zip(parts, files, strict=True):
                rows = list(form_lines(form, record))
                file.write(b"".join(rows))
                written.rows[part] += len(rows)
            each(record)
            progress(written.trees.total())
    for form, part in parts:
        with open_lines(folder / part.lines) as content:
            lines_to_parquet(content, folder / part.table, form.columns)


def form_lines(form: Form, record: TreeRecord) -> Iterator[bytes]:
    """Yield the rows of a tree as JSON lines, each with exactly the columns of the form."""
    for row in form.rows(record):
        yield row_line({name: row[name] for name in form.columns})


@contextmanager
def compressed(path: Path) -> Iterator[zstandard.ZstdCompressionWriter]:
    """Yield a new file that compresses what is written: one frame by one thread, because the bytes must not vary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
    with path.open("wb") as file, compressor.stream_writer(file, closefd=False) as writer:
        yield writer


@contextmanager
def open_lines(path: Path) -> Iterator[IO[bytes]]:
    """Yield the content of a compressed file. Raise Invalid if it is damaged, OSError.

    A file that ends too early looks complete: compare its digest first.
    """
    try:
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
            yield BufferedReader(reader, CHUNK)
    except zstandard.ZstdError as error:
        raise Invalid(f"{path}: cannot be decompressed: {error}", code="damaged") from error
