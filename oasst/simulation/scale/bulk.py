"""Writing many rows at once: COPY into tables without their indexes and keys, which come back at the end.

An index that is built from a full table costs a fraction of one that grows row by row, and so does a key that is
checked once. Needs an open transaction: whatever fails, the tables are as they were.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from django.db import connection

# Values as COPY reads them: text without tabs, line ends and single backslashes; None for null.
Row = tuple[str | None, ...]

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
# For this transaction: memory makes building quick.
_ROOM = "SET LOCAL maintenance_work_mem = '512MB'; SET LOCAL work_mem = '128MB'"


@contextmanager
def without_indexes(tables: Sequence[str]) -> Iterator[None]:
    """Inside, only the primary keys of these tables stand."""
    with connection.cursor() as cursor:
        cursor.execute(_ROOM)
        statements = []
        for query in (_KEYS, _INDEXES):
            cursor.execute(query, {"tables": list(tables)})
            statements += cursor.fetchall()
        for drop, _ in statements:
            cursor.execute(drop)
    yield
    with connection.cursor() as cursor:
        for _, create in reversed(statements):  # indexes first: keys and their checks use them
            cursor.execute(create)


def copy(rows: Mapping[str, Sequence[Row]], columns: Mapping[str, str]) -> None:
    """Append the rows to their tables; `columns` names those of a row, separated by blanks."""
    with connection.cursor() as cursor:
        for table, found in rows.items():
            with cursor.copy(f"COPY {table} ({', '.join(columns[table].split())}) FROM STDIN") as stream:
                # Lines of our own: the driver takes longer to write a row than the server to store it.
                for start in range(0, len(found), 1000):
                    stream.write(
                        "".join(
                            "\t".join(["\\N" if v is None else v for v in row]) + "\n"
                            for row in found[start : start + 1000]
                        )
                    )


def analyze(tables: Sequence[str]) -> None:
    """Tell the planner what is there now."""
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {', '.join(tables)}")


def vacuum(tables: Sequence[str]) -> None:
    """Note which pages everybody may see, as the server does by itself some time after writing: only then does a
    statement that needs no more than an index read no more. Not inside a transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM {', '.join(tables)}")
