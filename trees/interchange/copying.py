"""Insert many rows by COPY, which takes half the time of INSERT with a parameter for each value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection, models
from django.db.models.expressions import DatabaseDefault


def copy_rows(objects: Sequence[models.Model]) -> None:
    """Insert new objects of one model, as `bulk_create` does. Raise IntegrityError, DataError and their like.

    Values that the database makes are left to it; all objects must leave it the same ones.
    """
    if not objects:
        return
    table = objects[0]._meta
    fields = [field for field in table.concrete_fields if _is_given(objects[0], field)]
    columns = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)
    statement = f"COPY {connection.ops.quote_name(table.db_table)} ({columns}) FROM STDIN"
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as stream:
        for one in objects:
            stream.write_row([field.get_db_prep_save(field.pre_save(one, add=True), connection) for field in fields])


def _is_given(one: models.Model, field: models.Field[Any, Any]) -> bool:
    return not field.generated and not isinstance(getattr(one, field.attname), DatabaseDefault)
