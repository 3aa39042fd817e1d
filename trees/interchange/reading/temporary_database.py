"""A SQLite file for what does not fit into memory: it has no name, and nobody sees it but this process."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from oasst.core.errors import Invalid

_CACHE = 16_000  # KiB


def temporary_database(tables: str) -> sqlite3.Connection:
    """Return a database in a temporary file (in TMPDIR) that disappears when it is closed, or with the process."""
    database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    database.executescript(
        f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{_CACHE}; PRAGMA temp_store = FILE;"
        + tables
    )
    return database


@contextmanager
def room_on_disk() -> Iterator[None]:
    """Turn a full disk into a sentence."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Invalid(f"A temporary file cannot be written (TMPDIR says where): {error}.", code="output") from error
