"""Files that appear only when they are complete."""

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from oasst.core.errors import Invalid


@contextmanager
def complete_file(output: Path) -> Iterator[Path]:
    """A file to write, beside `output`, which takes its name when the block ends without an error.

    Otherwise what stood under the name stays. Raises Invalid where it cannot be written.
    """
    if output.is_dir():
        raise Invalid(f"{output}: is a folder; name a file.", code="output")
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(output)
    except OSError as error:
        raise Invalid(f"{output}: cannot be written: {error.strerror or error}", code="output") from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def text_file(output: Path) -> Iterator[IO[str]]:
    """A `complete_file` of UTF-8 text, compressed if its name ends in .gz."""
    opener = gzip.open if output.suffix == ".gz" else open
    with complete_file(output) as partial, opener(partial, "wt", encoding="utf-8", newline="\n") as file:
        yield cast(IO[str], file)
