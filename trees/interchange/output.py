"""Files that appear only when they are complete."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
