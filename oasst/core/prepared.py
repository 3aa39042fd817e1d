"""Statements that every request runs, planned once for a connection and not each time.

PostgreSQL takes up to ten times as long to plan these as to run them, and the ORM longer than both to write them. They
are written by hand and bound by the server; all others go through Django's cursors as ever.

The text of a statement must be the same each time; what varies stands in its parameters. Columns are named: a plan for
`*` fails when a migration adds one.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar

from django.db import connection
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.models import Field, Model
from django.db.models.expressions import DatabaseDefault

M = TypeVar("M", bound=Model)
Row = tuple[Any, ...]


class _PreparedCursor(ServerBindingCursor):
    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        return super().execute(query, params, prepare=True, **options)  # type: ignore[misc]


def read(sql: str, params: Any) -> list[Row]:
    """The rows of a statement."""
    with _cursor() as cursor:
        cursor.execute(sql, params)
        found: list[Row] = cursor.fetchall()
        return found


def run(sql: str, params: Any) -> int:
    """Run a statement that gives no rows. How many it changed."""
    with _cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def _cursor() -> Any:
    if connection.queries_logged:  # whoever looks on (DEBUG, tests that count) sees it with its parameters in place
        return connection.cursor()
    connection.ensure_connection()
    # Neither is known to the stubs: Django's cursor of the driver, and what counts and translates errors around it.
    return connection._prepare_cursor(_PreparedCursor(connection.connection))  # type: ignore[attr-defined,call-arg]


def objects(model: type[M], rest: str, params: Any, *, without: frozenset[str] = frozenset()) -> list[M]:
    """Rows of one model, which `rest` (WHERE and so on) calls "one". `without` are fields to read when asked for."""
    sql = f"SELECT {columns(model, 'one', without)} FROM {model._meta.db_table} one {rest}"
    return [as_model(model, row, without) for row in read(sql, params)]


@cache
def columns(model: type[Model], alias: str, without: frozenset[str] = frozenset()) -> str:
    """The columns of a model, for `as_model`."""
    return ", ".join(f"{alias}.{field.column}" for field in _fields(model, without))


def as_model(model: type[M], row: Row, without: frozenset[str] = frozenset()) -> M:
    """The object of a row of `columns`."""
    names, converted = _reading(model, without)
    values = list(row)
    for place, field in converted:
        values[place] = field.from_db_value(values[place], None, connection)
    return model.from_db(connection.alias, names, values)


def insert(*objects: Model) -> None:
    """Store new objects of one model, as `save(force_insert=True)` does: what the database gave is set on them.

    No signals are sent. For a few at a time: each number of objects is a statement of its own.
    """
    model = type(objects[0])
    rows, values = [], []
    for one in objects:
        cells = []
        for field in _stored(model):
            value = field.pre_save(one, True)
            given = not (isinstance(value, DatabaseDefault) or (value is None and field.primary_key))
            cells.append("%s" if given else "DEFAULT")
            if given:
                values.append(field.get_db_prep_save(value, connection))
        rows.append(f"({', '.join(cells)})")
    returned = model._meta.db_returning_fields
    sql = (
        f"INSERT INTO {model._meta.db_table} ({_names(_stored(model))}) "
        f"VALUES {', '.join(rows)} RETURNING {_names(returned) or 'true'}"
    )
    for one, found in zip(objects, read(sql, values), strict=True):
        for field, value in zip(returned, found, strict=False):
            convert = getattr(field, "from_db_value", None)  # for what is more than the driver gives (JSON)
            setattr(one, field.attname, convert(value, None, connection) if convert else value)
        one._state.adding, one._state.db = False, connection.alias


def update(one: Model, names: Iterable[str]) -> None:
    """Store these fields of an object, as `save(update_fields=…)` does. No signals are sent."""
    known = {field.name: field for field in _stored(type(one))}
    fields = [known[name] for name in names]
    values = [field.get_db_prep_save(field.pre_save(one, False), connection) for field in fields]
    sets = ", ".join(f"{field.column} = %s" for field in fields)
    run(f"UPDATE {one._meta.db_table} SET {sets} WHERE {one._meta.pk.column} = %s", [*values, one.pk])


def _names(fields: "Iterable[Field[Any, Any]]") -> str:
    return ", ".join(str(field.column) for field in fields)


@cache
def _stored(model: type[Model]) -> "list[Field[Any, Any]]":
    return [field for field in model._meta.concrete_fields if not field.generated]


def _fields(model: type[Model], without: frozenset[str]) -> "list[Field[Any, Any]]":
    return [field for field in model._meta.concrete_fields if field.name not in without]


@cache
def _reading(model: type[Model], without: frozenset[str]) -> "tuple[list[str], list[tuple[int, Any]]]":
    """The attributes in the order of the columns, and which of them are more than the driver gives (JSON)."""
    fields = _fields(model, without)
    return [one.attname for one in fields], [it for it in enumerate(fields) if hasattr(it[1], "from_db_value")]
