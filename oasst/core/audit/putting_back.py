"""Undo what an act changed in rows, as its entry in the audit log has it (`oasst.core.audit.rows`)."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Model
from django.utils.translation import gettext

from oasst.core.audit.rows import Columns, Difference, as_plain
from oasst.core.errors import Conflict
from oasst.core.models import AuditEntry


@dataclass(frozen=True)
class Changes:
    """What an act changed: table → primary key → column → value before, and after."""

    before: Difference
    after: Difference

    def of(self, table: str, pk: object) -> tuple[Columns, Columns]:
        """Return the columns of one row before and after; empty if it was not changed."""
        return self.before.get(table, {}).get(str(pk)) or {}, self.after.get(table, {}).get(str(pk)) or {}

    def pairs(self, table: str) -> Iterator[tuple[str, Any, Any]]:
        """Yield primary key, columns before and columns after; None for a row that was not there."""
        before = self.before.get(table, {})
        for pk, new in self.after.get(table, {}).items():
            yield pk, before.get(pk), new


def read_changes(entry: AuditEntry) -> Changes:
    """Return what the act of this entry changed. Raise Conflict `erased` if its words were erased."""
    if entry.text.erased_at is not None:
        raise Conflict(gettext("What this changed was erased with the texts of its author."), code="erased")
    return Changes(json.loads(entry.text.before or "{}"), json.loads(entry.text.after or "{}"))


def put_back(changes: Changes, models: Mapping[str, type[Model]]) -> None:
    """Put the rows of these tables back, in the order of `models`; needs an open transaction.

    A row that the act made is deleted. Raise Conflict `built_on`, with nothing to be kept of the transaction, unless
    each row still is as the act left it.
    """
    for table, model in models.items():
        before, after = changes.before.get(table, {}), changes.after.get(table, {})
        rows = model._default_manager.select_for_update(of=("self",), no_key=True).filter(pk__in=after).order_by("pk")
        found = {str(row.pk): row for row in rows} if after else {}
        for pk, new in after.items():
            old, row = before.get(pk), found.get(pk)
            if row is None or new is None or not is_still(row, new):
                raise built_on()
            if old is None:
                row.delete()
            else:
                set_columns(row, old)
                row.save(update_fields=[column.removesuffix("_id") for column in old])


def is_still(row: Model, columns: Columns) -> bool:
    """Return True if these columns of the row have these values."""
    return all(as_plain(getattr(row, name)) == value for name, value in columns.items())


def set_columns(row: Model, columns: Columns) -> None:
    """Set columns to values as the audit log has them; the caller saves the row."""
    for name, value in columns.items():
        setattr(row, name, as_stored(type(row), name, value))


def as_stored(model: type[Model], name: str, value: Any) -> Any:
    """Return the value of a column that the audit log has as JSON."""
    field: Any = model._meta.get_field(name.removesuffix("_id"))
    field = field.target_field if name.endswith("_id") else field
    return None if value is None else field.to_python(value)


def built_on() -> Conflict:
    return Conflict(
        gettext("Others have gone on from this meanwhile, so it cannot be undone."),
        code="built_on",
        hint=gettext("Its page offers what can still be done."),
    )
