"""Measuring what a site writes: bytes of PostgreSQL's write-ahead log (WAL), and rows that are updated in place."""

import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connection

from oasst.embedded import programs

TABLES = 12  # at most, in a report


@dataclass(frozen=True)
class Changes:
    """Changed rows of one table."""

    inserted: int = 0
    updated: int = 0
    in_place: int = 0  # of the updated: without a change of any index (heap-only tuples)

    def __sub__(self, other: "Changes") -> "Changes":
        return Changes(self.inserted - other.inserted, self.updated - other.updated, self.in_place - other.in_place)


class Written:
    """What was written since this object was made. Backends may report their statistics up to ten seconds late."""

    def __init__(self) -> None:
        self._start, self._changes = _wal_position(), _changes()

    def lines(self, times: int) -> list[str]:
        """Return a table of WAL and changed rows, divided by `times`, for the tables with the most WAL."""
        end, changes = _wal_position(), _changes()
        ((size,),) = _read("SELECT pg_wal_lsn_diff(%s, %s)::bigint", end, self._start)
        assert isinstance(size, int)
        logged = _by_table(self._start, end)
        rows = {name: after - self._changes.get(name, Changes()) for name, after in changes.items()}
        names = sorted(rows, key=lambda name: (-logged.get(name, 0), -rows[name].updated))[:TABLES]
        lines = [
            f"log of one: {size / times / 1000:.1f} kB",
            f"{'':32}{'kB':>7}{'inserted':>10}{'updated':>9}{'in place':>10}",
        ]
        for name in names:
            row = rows[name]
            share = f"{row.in_place / row.updated:.1%}" if row.updated else ""
            kilobytes = f"{logged[name] / times / 1000:.2f}" if name in logged else ""
            lines.append(f"{name:32}{kilobytes:>7}{row.inserted / times:10.2f}{row.updated / times:9.2f}{share:>10}")
        return lines


def _read(statement: str, *parameters: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


def _wal_position() -> str:
    return str(_read("SELECT pg_current_wal_insert_lsn()")[0][0])


def _changes() -> dict[str, Changes]:
    return {
        str(name): Changes(*numbers)  # type: ignore[arg-type]
        for name, *numbers in _read("SELECT relname, n_tup_ins, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables")
    }


def _by_table(start: str, end: str) -> dict[str, int]:
    """Return the bytes of WAL by table, including its indexes; empty if the WAL is on another machine."""
    log = Path(settings.OASST_HOME) / "services" / "postgres" / "pg_wal"
    if not log.is_dir():
        return {}
    names = {
        str(filenode): str(name)
        for filenode, name in _read(
            """
            SELECT pg_relation_filenode(class.oid), coalesce(owner.relname, class.relname)
            FROM pg_class class
            LEFT JOIN pg_index ON pg_index.indexrelid = class.oid
            LEFT JOIN pg_class owner ON owner.oid = pg_index.indrelid
            WHERE pg_relation_filenode(class.oid) IS NOT NULL
            """
        )
    }
    program = [str(programs.client_directory() / "pg_waldump"), "--path", str(log), "--start", start, "--end", end]
    sizes: Counter[str] = Counter()
    for line in subprocess.run(program, check=True, capture_output=True, text=True).stdout.splitlines():
        if record := _RECORD.search(line):
            size, filenode = record.groups()
            sizes[names.get(filenode, "others")] += int(size)
    return dict(sizes)


_RECORD = re.compile(r"len \(rec/tot\): *\d+/ *(\d+),.*?blkref #0: rel \d+/\d+/(\d+)")
