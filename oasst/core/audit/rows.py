"""What an act changes in rows, as the audit log keeps it: table → primary key → column → value, as JSON has it.

A row that the act made has None before, one that it deleted has None after. From this the log shows the difference, and
an undo puts it back.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.db.models import Model, QuerySet

from oasst.core.audit.acts import Act
from oasst.core.audit.recording import record
from oasst.core.models import AuditEntry

Columns = dict[str, Any]
Rows = dict[str, dict[str, Columns]]
Difference = dict[str, dict[str, Columns | None]]


@dataclass(frozen=True)
class Watched:
    """The rows of a table that an act may change, and the columns to compare (a foreign key by its `_id`)."""

    rows: QuerySet[Any]
    columns: tuple[str, ...]

    def read(self) -> dict[str, Columns]:
        """One statement."""
        rows = self.rows.order_by("pk").values_list("pk", *self.columns)
        return {str(pk): dict(zip(self.columns, map(as_plain, values), strict=True)) for pk, *values in rows}


@dataclass
class Recorded:
    """An act that is under way. `entry` is there when it is done, unless it changed nothing."""

    entry: AuditEntry | None = None


@contextmanager
def recorded_rows(
    act: Act,
    target: Model,
    tables: Mapping[str, Watched],
    *,
    actor: Any = None,
    program: Any = None,
    person_id: UUID | None = None,
    reason: str = "",
    always: bool = False,
) -> Iterator[Recorded]:
    """Write what the block changes in these rows into the audit log. A block that changes nothing leaves no entry,
    unless `always`.

    Needs an open transaction, and locks on the rows. Two statements for each table, and those of `record`.
    """
    before = {name: watched.read() for name, watched in tables.items()}
    done = Recorded()
    yield done
    after = {name: watched.read() for name, watched in tables.items()}
    was, became = difference(before, after)
    if was or always:
        done.entry = record(
            act, target, actor=actor, program=program, person_id=person_id, reason=reason, before=was, after=became
        )


def difference(before: Rows, after: Rows) -> tuple[Difference, Difference]:
    """Return what differs, as it was and as it became."""
    was: Difference = {}
    became: Difference = {}
    for table in after:
        old_rows, new_rows = before[table], after[table]
        for pk in sorted(old_rows.keys() | new_rows.keys()):
            old, new = old_rows.get(pk), new_rows.get(pk)
            if old == new:
                continue
            if old is not None and new is not None:
                names = [name for name in new if new[name] != old[name]]
                old, new = {name: old[name] for name in names}, {name: new[name] for name in names}
            was.setdefault(table, {})[pk] = old
            became.setdefault(table, {})[pk] = new
    return was, became


def new_row(table: str, row: Model, columns: Iterable[str]) -> tuple[Difference, Difference]:
    """Return the difference that making this row is, for `before` and `after` of `record`."""
    return {table: {str(row.pk): None}}, {
        table: {str(row.pk): {name: as_plain(getattr(row, name)) for name in columns}}
    }


def as_plain(value: Any) -> Any:
    """Return a value as JSON has it, so that equal values are equal texts."""
    if isinstance(value, date):  # and a datetime
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
