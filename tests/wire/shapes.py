"""Check that a response has exactly the members that its operation declares, each with its type."""

import re
from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.fields import empty

from oasst.api.fields import (
    BooleanField,
    DateTimeField,
    FloatField,
    IntegerField,
    OptionalMembersField,
    Schema,
    TextField,
    UUIDField,
)

DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00")


def misfits(declared: Any, data: Any, where: str = "$") -> list[str]:
    """Return the problems as sentences; empty if there are none."""
    if isinstance(declared, list):
        if not isinstance(data, list):
            return [f"{where} is no list"]
        return [wrong for place, one in enumerate(data) for wrong in misfits(declared[0], one, f"{where}[{place}]")]
    field = declared() if isinstance(declared, type) else declared
    if data is None:
        return [] if field.allow_null else [f"{where} is null"]
    if isinstance(field, serializers.ListSerializer):
        return misfits([field.child], data, where)
    if isinstance(field, Schema):
        return _one_of(field, data, where) if field.one_of else _object(field, data, where)
    if isinstance(field, serializers.ListField):
        return misfits([field.child], data, where)
    if isinstance(field, serializers.DictField):
        if not isinstance(data, dict):
            return [f"{where} is no object"]
        odd = [
            f"{where}: {name}" for name in data if isinstance(field, OptionalMembersField) and name not in field.names
        ]
        return odd + [wrong for name, one in data.items() for wrong in misfits(field.child, one, f"{where}.{name}")]
    return [] if _is(field, data) else [f"{where} is {data!r}, no {type(field).__name__}"]


def _one_of(field: Schema, data: Any, where: str) -> list[str]:
    """Check the variant that the tag names."""
    tag = data.get(field.tag) if isinstance(data, dict) else None
    kinds = [kind for kind in field.one_of if kind.constant(field.tag) == tag]
    return misfits(kinds[0], data, where) if len(kinds) == 1 else [f"{where}.{field.tag} is {tag!r}"]


def _object(field: Schema, data: Any, where: str) -> list[str]:
    if not isinstance(data, dict):
        return [f"{where} is no object"]
    # A member with a default is optional in requests, but never in responses.
    required = {name for name, one in field.fields.items() if one.required or one.default is not empty}
    odd = [f"{where}: {name}" for name in (set(data) - set(field.fields)) | (required - set(data))]
    inside = [misfits(one, data[name], f"{where}.{name}") for name, one in field.fields.items() if name in data]
    return odd + [wrong for found in inside for wrong in found]


def _is(field: Any, data: Any) -> bool:
    if isinstance(field, serializers.JSONField):
        return True
    if isinstance(field, BooleanField):
        return isinstance(data, bool)
    if isinstance(field, IntegerField):
        return isinstance(data, int) and not isinstance(data, bool)
    if isinstance(field, FloatField):
        return isinstance(data, int | float) and not isinstance(data, bool)
    if isinstance(field, UUIDField):
        return isinstance(data, str) and data == str(UUID(data))
    if isinstance(field, DateTimeField):
        return isinstance(data, str) and bool(DATE.fullmatch(data))
    if isinstance(field, serializers.ChoiceField):
        return data in field.choices
    return isinstance(field, TextField) and isinstance(data, str)
