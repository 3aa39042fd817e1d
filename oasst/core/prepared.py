"""Handwritten SQL for statements that every request runs, prepared once per connection.

PostgreSQL takes up to ten times as long to plan these statements as to run them, and the ORM even longer to build
them. All other statements use the ORM.

The text of a statement must not vary, only its parameters. Name its columns: a prepared `*` fails after a migration
that adds one.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.utils import CursorWrapper
from django.db.models import Field, Manager, Model
from django.db.models.base import ModelState
from django.db.models.expressions import DatabaseDefault
from psycopg.pq import Format

M = TypeVar("M", bound=Model)
Row = tuple[Any, ...]

_TIMESTAMP_LOADER = psycopg.adapters.get_loader(psycopg.adapters.types["timestamptz"].oid, Format.TEXT)


class _PreparedCursor(psycopg.Cursor[Row]):
    """One cursor per connection, because making one takes as long as a short statement.

    It reads timestamps with the driver's own loader, which gives UTC like Django's and is ten times as fast.
    """

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        super().__init__(connection)
        assert _TIMESTAMP_LOADER is not None
        self.adapters.register_loader("timestamptz", _TIMESTAMP_LOADER)

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        return super().execute(query, params, prepare=True, **options)


def fetch_rows(sql: str, params: Any) -> list[Row]:
    """Return all rows of a statement."""
    rows: list[Row] = _execute(sql, params).fetchall()
    return rows


def execute(sql: str, params: Any) -> int:
    """Run a statement without a result and return how many rows it changed."""
    return int(_execute(sql, params).rowcount)


def _execute(sql: str, params: Any) -> Any:
    """Run a statement and return its cursor."""
    db: Any = connections[DEFAULT_DB_ALIAS]
    if db.queries_logged:  # in DEBUG and in tests that count queries, use Django's cursor
        cursor = db.cursor()
        cursor.execute(sql, params)
        return cursor
    db.ensure_connection()
    cursor = getattr(db.connection, "prepared_cursor", None)
    if cursor is None:
        cursor = db.connection.prepared_cursor = _PreparedCursor(db.connection)
    CursorWrapper(cursor, db).execute(sql, params)  # it counts queries and translates errors
    return cursor


def fetch_objects(model: type[M], rest: str, params: Any, *, without: frozenset[str] = frozenset()) -> list[M]:
    """Return objects of a model. `rest` (WHERE and so on) calls its table "one"; fields in `without` are deferred."""
    sql = f"SELECT {column_list(model, 'one', without)} FROM {model._meta.db_table} one {rest}"
    return [build_instance(model, row, without) for row in fetch_rows(sql, params)]


@cache
def column_list(model: type[Model], alias: str, without: frozenset[str] = frozenset()) -> str:
    """Return the column list of a model for SELECT, in the order that `build_instance` expects."""
    return ", ".join(f"{alias}.{field.column}" for field in _fields(model, without))


def build_instance(model: type[M], row: Row, without: frozenset[str] = frozenset()) -> M:
    """Return the object for a row of `column_list`.

    Like `Model.from_db`, but without signals and without setting each attribute in turn, which took longer than
    reading the rows.
    """
    names, converted = _attributes(model, without)
    instance = model.__new__(model)
    values = instance.__dict__
    values.update(zip(names, row, strict=True))
    for name, field in converted:
        values[name] = field.from_db_value(values[name], None, connection)
    state = instance._state = ModelState()
    state.adding, state.db = False, DEFAULT_DB_ALIAS
    return instance


class PreparedManager(Manager[M]):
    """A manager with handwritten SQL: the base of the managers in each app's `hot.py`.

    It is not a queryset, because handwritten statements would ignore an earlier `.filter()`.
    """

    def fetch(self, rest: str, params: Any, *, without: frozenset[str] = frozenset()) -> list[M]:
        """Return objects of this model, see `fetch_objects`."""
        return fetch_objects(self.model, rest, params, without=without)

    def insert(self, *objects: M) -> None:
        insert(*objects)

    def save_fields(self, instance: M, names: Iterable[str]) -> None:
        update_fields(instance, names)


def insert(*objects: Model) -> None:
    """Insert objects of one model like `save(force_insert=True)`, but without signals.

    Values from the database are set on the objects. Only for a few at a time, because each number of objects is
    another prepared statement.
    """
    model = type(objects[0])
    rows, values = [], []
    for instance in objects:
        cells = []
        for field in _stored(model):
            value = field.pre_save(instance, True)
            has_value = not (isinstance(value, DatabaseDefault) or (value is None and field.primary_key))
            cells.append("%s" if has_value else "DEFAULT")
            if has_value:
                values.append(field.get_db_prep_save(value, connection))
        rows.append(f"({', '.join(cells)})")
    returned = model._meta.db_returning_fields
    sql = (
        f"INSERT INTO {model._meta.db_table} ({_names(_stored(model))}) "
        f"VALUES {', '.join(rows)} RETURNING {_names(returned) or 'true'}"
    )
    for instance, row in zip(objects, fetch_rows(sql, values), strict=True):
        for field, value in zip(returned, row, strict=False):
            convert = getattr(field, "from_db_value", None)  # for types that the driver does not know (JSON)
            setattr(instance, field.attname, convert(value, None, connection) if convert else value)
        instance._state.adding, instance._state.db = False, connection.alias


def update_fields(instance: Model, names: Iterable[str]) -> None:
    """Store these fields of an object like `save(update_fields=…)`, but without signals."""
    stored = {field.name: field for field in _stored(type(instance))}
    fields = [stored[name] for name in names]
    values = [field.get_db_prep_save(field.pre_save(instance, False), connection) for field in fields]
    sets = ", ".join(f"{field.column} = %s" for field in fields)
    meta = instance._meta
    execute(f"UPDATE {meta.db_table} SET {sets} WHERE {meta.pk.column} = %s", [*values, instance.pk])


def _names(fields: "Iterable[Field[Any, Any]]") -> str:
    return ", ".join(str(field.column) for field in fields)


@cache
def _stored(model: type[Model]) -> "list[Field[Any, Any]]":
    return [field for field in model._meta.concrete_fields if not field.generated]


def _fields(model: type[Model], without: frozenset[str]) -> "list[Field[Any, Any]]":
    return [field for field in model._meta.concrete_fields if field.name not in without]


@cache
def _attributes(model: type[Model], without: frozenset[str]) -> "tuple[list[str], list[tuple[str, Any]]]":
    """Return the attribute names in column order, and (name, field) for those that need conversion (JSON)."""
    fields = _fields(model, without)
    converted = [(field.attname, field) for field in fields if hasattr(field, "from_db_value")]
    return [field.attname for field in fields], converted
