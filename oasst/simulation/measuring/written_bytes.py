"""What a site writes: bytes of the log that PostgreSQL ships and replays, and how many rows are changed in place."""

import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connection

from oasst.embedded import programs

TABLES = 12
"""Lines of a table of tables."""


@dataclass(frozen=True)
class Changes:
    """Of one table."""

    inserted: int = 0
    updated: int = 0
    in_place: int = 0
    """Of the updated: those that no index had to be told of (heap-only tuples)."""

    def __sub__(self, other: "Changes") -> "Changes":
        return Changes(self.inserted - other.inserted, self.updated - other.updated, self.in_place - other.in_place)


class Written:
    """Everything that was written since this was made. Reads statistics that backends hand in within ten seconds."""

    def __init__(self) -> None:
        self._place, self._changes = _place(), _changes()

    def lines(self, times: int) -> list[str]:
        """Of one of `times`: the log, what largest tables have of it, rows changed, and how many of them in place."""
        end, changes = _place(), _changes()
        size = _between(self._place, end)
        logged = _by_table(self._place, end)
        rows = {name: found - self._changes.get(name, Changes()) for name, found in changes.items()}
        names = sorted(rows, key=lambda name: (-logged.get(name, 0), -rows[name].updated))[:TABLES]
        lines = [
            f"log of one: {size / times / 1000:.1f} kB",
            f"{'':32}{'kB':>7}{'inserted':>10}{'updated':>9}{'in place':>10}",
        ]
        for name in names:
            one = rows[name]
            share = f"{one.in_place / one.updated:.1%}" if one.updated else ""
            kilobytes = f"{logged[name] / times / 1000:.2f}" if name in logged else ""
            lines.append(f"{name:32}{kilobytes:>7}{one.inserted / times:10.2f}{one.updated / times:9.2f}{share:>10}")
        return lines


def _read(statement: str, *facts: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, facts)
        return cursor.fetchall()


def _place() -> str:
    return str(_read("SELECT pg_current_wal_insert_lsn()")[0][0])


def _between(start: str, end: str) -> int:
    ((size,),) = _read("SELECT pg_wal_lsn_diff(%s, %s)::bigint", end, start)
    assert isinstance(size, int)
    return size


def _changes() -> dict[str, Changes]:
    return {
        str(name): Changes(*numbers)  # type: ignore[arg-type]
        for name, *numbers in _read("SELECT relname, n_tup_ins, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables")
    }


def _by_table(start: str, end: str) -> dict[str, int]:
    """Bytes of the log by table, its indexes included. Nothing where the log is on another machine."""
    log = Path(settings.OASST_HOME) / "services" / "postgres" / "pg_wal"
    if not log.is_dir():
        return {}
    names = {
        str(place): str(name)
        for place, name in _read(
            """
            SELECT pg_relation_filenode(class.oid), coalesce(owner.relname, class.relname)
            FROM pg_class class
            LEFT JOIN pg_index ON pg_index.indexrelid = class.oid
            LEFT JOIN pg_class owner ON owner.oid = pg_index.indrelid
            WHERE pg_relation_filenode(class.oid) IS NOT NULL
            """
        )
    }
    program = [str(programs.for_clients() / "pg_waldump"), "--path", str(log), "--start", start, "--end", end]
    found: Counter[str] = Counter()
    for line in subprocess.run(program, check=True, capture_output=True, text=True).stdout.splitlines():
        if record := _RECORD.search(line):
            size, place = record.groups()
            found[names.get(place, "others")] += int(size)
    return dict(found)


_RECORD = re.compile(r"len \(rec/tot\): *\d+/ *(\d+),.*?blkref #0: rel \d+/\d+/(\d+)")
