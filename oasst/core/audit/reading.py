"""Read the audit log: the entries about one thing, and what an entry says, in words."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from oasst.core.audit.acts import label_of
from oasst.core.models import AuditEntry

Target = tuple[str, str]
"""The kind of a thing, as trees.message, and its id as text."""
_ABOUT_ENTRIES = "core.auditentry"
_FOR_MACHINES = frozenset({"told", "hold", "suspended"})
"""Parts of a difference that only an undo needs; "suspended" has keyed hashes of addresses."""
_PEOPLE = ("_by_id", "actor_id", "holder_id")
"""Endings of columns that hold the id of a user."""


@dataclass(frozen=True)
class Change:
    """A value that an act changed."""

    where: str
    """Of which row, such as "message 0190f3…"; empty for a fact about the whole act."""
    what: str
    before: str
    after: str


@dataclass
class Line:
    """An entry as pages show it."""

    entry: AuditEntry
    words: str
    """What was done."""
    changes: list[Change]
    later: list["Line"] = field(default_factory=list)
    """What was done about this entry, such as that it was undone."""

    @property
    def is_erased(self) -> bool:
        return self.entry.text.erased_at is not None


def entries_about(targets: Iterable[Target]) -> QuerySet[AuditEntry]:
    """Return the entries about these things, the newest first."""
    conditions = [Q(target_type=kind, target_id=pk) for kind, pk in targets]
    return with_words(AuditEntry.objects.filter(reduce(or_, conditions))).order_by("-pk")


def with_words(entries: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
    """Join what `describe` needs of each entry."""
    return entries.select_related("text", "actor", "program", "person")


def describe(entries: Sequence[AuditEntry]) -> list[Line]:
    """Return these entries, which `with_words` has read, in words. At most three statements."""
    pks = [str(entry.pk) for entry in entries]
    about = (
        AuditEntry.objects.filter(target_type=_ABOUT_ENTRIES, target_id__in=pks) if pks else AuditEntry.objects.none()
    )
    later = list(with_words(about).order_by("pk"))
    parsed = {entry.pk: (_parse(entry.text.before), _parse(entry.text.after)) for entry in (*entries, *later)}
    names = _names(value for pair in parsed.values() for value in pair)
    lines = {
        entry.pk: Line(entry, label_of(entry.act), list(_changes(*parsed[entry.pk], names)))
        for entry in (*entries, *later)
    }
    for entry in later:
        lines[int(entry.target_id)].later.append(lines[entry.pk])
    return [lines[entry.pk] for entry in entries]


def _parse(text: str) -> dict[str, Any]:
    value = json.loads(text) if text else {}
    return value if isinstance(value, dict) else {}


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and all(row is None or isinstance(row, dict) for row in value.values())


def _names(facts: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return the names of all users whose ids stand in these differences. One statement."""
    ids = {
        value
        for tables in facts
        for rows in tables.values()
        if _is_table(rows)
        for row in rows.values()
        for column, value in (row or {}).items()
        if column.endswith(_PEOPLE) and isinstance(value, str)
    }
    wanted = [found for value in ids if (found := _as_uuid(value))]
    if not wanted:
        return {}
    return {str(person.pk): str(person) for person in get_user_model()._default_manager.filter(pk__in=wanted)}


def _as_uuid(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None


def _changes(before: dict[str, Any], after: dict[str, Any], names: dict[str, str]) -> Iterator[Change]:
    for table in sorted(before.keys() | after.keys()):
        old, new = before.get(table), after.get(table)
        if table in _FOR_MACHINES:
            continue
        if not (_is_table(old or {}) and _is_table(new or {})):
            yield Change("", _as_words(table), _shown(old), _shown(new))
            continue
        old_rows, new_rows = old or {}, new or {}
        for pk in sorted(old_rows.keys() | new_rows.keys()):
            was, became = old_rows.get(pk) or {}, new_rows.get(pk) or {}
            for column in sorted(was.keys() | became.keys()):
                values = [names.get(value, value) for value in map(_hashable, (was.get(column), became.get(column)))]
                if values[0] != values[1]:
                    yield Change(f"{_as_words(table)} {pk}", _as_words(column), *map(_shown, values))


def _hashable(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value) if isinstance(value, dict) else value


def _as_words(name: str) -> str:
    return name.removesuffix("_id").replace("_", " ")


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, str) and len(value) >= 19 and value[4:5] == "-" and value[10:11] == "T":
        try:
            return date_format(timezone.localtime(datetime.fromisoformat(value)), "DATETIME_FORMAT")
        except ValueError:
            return value
    return str(_hashable(value))
