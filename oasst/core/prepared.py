"""Statements that every request runs, planned once for a connection and not each time.

PostgreSQL takes up to ten times as long to plan these as to run them, and the ORM longer than both to write them. They
are written by hand and bound by the server; all others go through Django's cursors as ever.

The text of a statement must be the same each time; what varies stands in its parameters. Columns are named: a plan for
`*` fails when a migration adds one.
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

_READ_MOMENT = psycopg.adapters.get_loader(psycopg.adapters.types["timestamptz"].oid, Format.TEXT)


class _PreparedCursor(psycopg.Cursor[Row]):
    """One for each connection, kept with it: to make one takes as long as to run a short statement.

    Moments are read by the driver's own loader. Django's, in its place, says UTC as well and takes ten times as long.
    """

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        super().__init__(connection)
        assert _READ_MOMENT is not None
        self.adapters.register_loader("timestamptz", _READ_MOMENT)

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        return super().execute(query, params, prepare=True, **options)


def read(sql: str, params: Any) -> list[Row]:
    """The rows of a statement."""
    found: list[Row] = _run(sql, params).fetchall()
    return found


def run(sql: str, params: Any) -> int:
    """Run a statement that gives no rows. How many it changed."""
    return int(_run(sql, params).rowcount)


def _run(sql: str, params: Any) -> Any:
    """The cursor that ran it."""
    db: Any = connections[DEFAULT_DB_ALIAS]
    if db.queries_logged:  # whoever looks on (DEBUG, tests that count) sees it with its parameters in place
        cursor = db.cursor()
        cursor.execute(sql, params)
        return cursor
    db.ensure_connection()
    cursor = getattr(db.connection, "prepared_cursor", None)
    if cursor is None:
        cursor = db.connection.prepared_cursor = _PreparedCursor(db.connection)
    CursorWrapper(cursor, db).execute(sql, params)  # counts, and translates errors
    return cursor


def objects(model: type[M], rest: str, params: Any, *, without: frozenset[str] = frozenset()) -> list[M]:
    """Rows of one model, which `rest` (WHERE and so on) calls "one". `without` are fields to read when asked for."""
    sql = f"SELECT {columns(model, 'one', without)} FROM {model._meta.db_table} one {rest}"
    return [as_model(model, row, without) for row in read(sql, params)]


@cache
def columns(model: type[Model], alias: str, without: frozenset[str] = frozenset()) -> str:
    """The columns of a model, for `as_model`."""
    return ", ".join(f"{alias}.{field.column}" for field in _fields(model, without))


def as_model(model: type[M], row: Row, without: frozenset[str] = frozenset()) -> M:
    """The object of a row of `columns`.

    As `Model.from_db`, without the signals and the setting of one attribute after the other: on the path of an answer
    that makes two dozen objects these took longer than the reading of the rows.
    """
    names, converted = _reading(model, without)
    one = model.__new__(model)
    values = one.__dict__
    values.update(zip(names, row, strict=True))
    for name, field in converted:
        values[name] = field.from_db_value(values[name], None, connection)
    state = one._state = ModelState()
    state.adding, state.db = False, DEFAULT_DB_ALIAS
    return one


class PreparedManager(Manager[M]):
    """A manager with statements by hand: the base of what an app has in its `hot.py`.

    Not a queryset: after `.filter()` there are none of them, since they would leave it out of account.
    """

    def prepared(self, rest: str, params: Any, *, without: frozenset[str] = frozenset()) -> list[M]:
        """See `objects`."""
        return objects(self.model, rest, params, without=without)

    def insert(self, *new: M) -> None:
        """Store new objects, a few at a time, as `save(force_insert=True)` does, without signals."""
        insert(*new)

    def store(self, one: M, names: Iterable[str]) -> None:
        """Store these fields of an object, as `save(update_fields=…)` does, without signals."""
        update(one, names)


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
def _reading(model: type[Model], without: frozenset[str]) -> "tuple[list[str], list[tuple[str, Any]]]":
    """The attributes in the order of the columns; and those that are more than the driver gives (JSON), and how."""
    fields = _fields(model, without)
    names = [one.attname for one in fields]
    return names, [it for it in zip(names, fields, strict=True) if hasattr(it[1], "from_db_value")]
