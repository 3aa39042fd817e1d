"""Migrations outside of a transaction: whoever stops one can run it again."""

import re
from collections.abc import Sequence
from typing import Any

from django.db import migrations
from django.db.migrations.loader import MigrationLoader

OURS = ("accounts", "core", "inference", "leaderboard", "site", "tasks", "trees")
_INDEX = re.compile(r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY (\w+)")
_DROPPED = re.compile(r"DROP INDEX CONCURRENTLY IF EXISTS (\w+)")


def test_what_an_interrupted_run_left_is_in_nobodys_way() -> None:
    """No table or column is made without a transaction, and an index that is half made is deleted before."""
    found = 0
    for (app, name), migration in MigrationLoader(None).disk_migrations.items():
        if app not in OURS or migration.atomic:
            continue
        dropped: set[str] = set()
        for operation in _in_the_database(migration.operations):
            match operation:
                case migrations.RunSQL(sql=str(sql)):
                    dropped |= set(_DROPPED.findall(sql))
                    indexes = _INDEX.findall(sql)
                case migrations.RunPython():
                    indexes = []
                case _:
                    assert type(operation).__name__ == "AddIndexConcurrently", f"{app}.{name}: {operation}"
                    indexes = [operation.index.name]
            assert set(indexes) <= dropped, f"{app}.{name}: {indexes}"
            found += len(indexes)
    assert found >= 3


def _in_the_database(operations: Sequence[Any]) -> list[Any]:
    return [
        inner
        for one in operations
        for inner in (one.database_operations if isinstance(one, migrations.SeparateDatabaseAndState) else [one])
    ]
