"""Rows of several tables in one statement, for pages that show a little of everything about one thing.

The page of a message shows fifteen tables. A statement for each would be over the twelve that a page may cost
(`tests/site/test_statements.py`), and joins would multiply the rows of one table by those of the others.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.db import DEFAULT_DB_ALIAS
from django.db.models import BinaryField, F, Field, Model, QuerySet
from django.db.models.functions import JSONObject

MOST_COLUMNS = 50
"""PostgreSQL makes no JSON object of more at once."""


def read_together(about: QuerySet[Any], tables: Mapping[str, QuerySet[Any]]) -> dict[str, list[Any]]:
    """Return the rows of each queryset in its order, with the users whom they name. `about` has exactly one row.

    Two statements, however many tables: the first gets all rows, as JSON, the second the users. For short lists only.
    Columns of bytes and generated ones are left out, so reading one of them costs a statement.
    """
    if not tables:
        return {}
    columns = {name: _columns(rows.model) for name, rows in tables.items()}
    arrays = {name: ArraySubquery(rows.values(json_row=_as_json(columns[name]))) for name, rows in tables.items()}
    found = about.values_list(*arrays.values()).get()
    read = {
        name: [
            _as_row(rows.model, columns[name], values) for values in array or []
        ]  # None stands for a queryset that cannot have rows
        for (name, rows), array in zip(tables.items(), found, strict=True)
    }
    _set_users([row for rows in read.values() for row in rows])
    return read


def _columns(model: type[Model]) -> "list[Field[Any, Any]]":
    found = [one for one in model._meta.concrete_fields if not isinstance(one, BinaryField) and not one.generated]
    assert len(found) <= MOST_COLUMNS, model
    return found


def _as_json(columns: "list[Field[Any, Any]]") -> JSONObject:
    return JSONObject(**{one.attname: F(one.attname) for one in columns})


def _as_row(model: type[Model], columns: "list[Field[Any, Any]]", values: Mapping[str, Any]) -> Model:
    names = [one.attname for one in columns]
    return model.from_db(DEFAULT_DB_ALIAS, names, [_as_value(one, values[one.attname]) for one in columns])


def _as_value(column: "Field[Any, Any]", value: Any) -> Any:
    if isinstance(column, ArrayField) and value is not None:
        return [_as_value(column.base_field, one) for one in value]
    return column.to_python(value)


def _set_users(rows: Iterable[Model]) -> None:
    """Give the rows their users, all from one statement."""
    user = get_user_model()
    keys = [(row, one) for row in rows for one in row._meta.concrete_fields if one.related_model is user]
    users = user.objects.in_bulk({pk for row, one in keys if (pk := getattr(row, one.attname)) is not None})
    for row, one in keys:
        pk = getattr(row, one.attname)
        if pk is not None:
            setattr(row, one.name, users[pk])
