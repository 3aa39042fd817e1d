"""Writing many rows at once: COPY into tables without indexes and keys, which are created again at the end.

Building an index from a full table costs a fraction of adding row by row, and so does checking a key once. Needs an
open transaction, so that a failure leaves the tables unchanged.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from django.db import connection

Row = tuple[str | None, ...]
"""Values as COPY reads them: text without tabs, newlines and unescaped backslashes; None for null."""

_KEYS = """
    SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname),
           format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE conrelid = ANY(%(tables)s::regclass[]) AND contype IN ('f', 'u')
    ORDER BY contype = 'u'
"""
_INDEXES = """
    SELECT format('DROP INDEX %%s', indexrelid::regclass), pg_get_indexdef(indexrelid)
    FROM pg_index WHERE indrelid = ANY(%(tables)s::regclass[]) AND NOT indisprimary
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('u', 'x'))
"""
# For this transaction only: building indexes needs memory.
_MEMORY = "SET LOCAL maintenance_work_mem = '512MB'; SET LOCAL work_mem = '128MB'"


@contextmanager
def without_indexes(tables: Sequence[str]) -> Iterator[None]:
    """Drop all indexes and keys of these tables except primary keys inside the block."""
    with connection.cursor() as cursor:
        cursor.execute(_MEMORY)
        statements = []
        for query in (_KEYS, _INDEXES):
            cursor.execute(query, {"tables": list(tables)})
            statements += cursor.fetchall()
        for drop, _ in statements:
            cursor.execute(drop)
    yield
    with connection.cursor() as cursor:
        for _, create in reversed(statements):  # indexes first, since creating keys uses them
            cursor.execute(create)


def new_id(at: datetime, chance: random.Random) -> str:
    """Return the 32 hexadecimal digits of a version 7 UUID for this time, like `oasst.core.ids.uuid7` but
    repeatable.
    """
    value = (int(at.timestamp() * 1000) << 80) | 0x7 << 76 | 0x2 << 62
    return f"{value | chance.getrandbits(12) << 64 | chance.getrandbits(62):032x}"


def copy(rows: Mapping[str, Sequence[Row]], columns: Mapping[str, str]) -> None:
    """Append the rows to their tables; `columns` holds the column names of each table, separated by blanks."""
    with connection.cursor() as cursor:
        for table, of_table in rows.items():
            with cursor.copy(f"COPY {table} ({', '.join(columns[table].split())}) FROM STDIN") as stream:
                # Lines of our own: the driver takes longer to format a row than the server to store it.
                for start in range(0, len(of_table), 1000):
                    batch = of_table[start : start + 1000]
                    lines = ("\t".join(["\\N" if value is None else value for value in row]) + "\n" for row in batch)
                    stream.write("".join(lines))


def analyze(tables: Sequence[str]) -> None:
    """Update the planner's statistics."""
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {', '.join(tables)}")


def vacuum(tables: Sequence[str]) -> None:
    """Update the visibility map, as autovacuum does some time after writing, so that index-only scans work. Not inside
    a transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM {', '.join(tables)}")
