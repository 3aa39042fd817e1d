"""Does an answer have the shape that its operation declares: every member, none besides, and each of its type?"""

import re
from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.fields import empty

from oasst.api.fields import ByName, Flag, Id, Moment, Number, Shape, Text, Whole

DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00")


def misfits(declared: Any, data: Any, where: str = "$") -> list[str]:
    """What is wrong, as sentences; empty when all fits."""
    if isinstance(declared, list):
        if not isinstance(data, list):
            return [f"{where} is no list"]
        return [wrong for place, one in enumerate(data) for wrong in misfits(declared[0], one, f"{where}[{place}]")]
    field = declared() if isinstance(declared, type) else declared
    if data is None:
        return [] if field.allow_null else [f"{where} is null"]
    if isinstance(field, serializers.ListSerializer):
        return misfits([field.child], data, where)
    if isinstance(field, Shape):
        return _one_of(field, data, where) if field.one_of else _object(field, data, where)
    if isinstance(field, serializers.ListField):
        return misfits([field.child], data, where)
    if isinstance(field, serializers.DictField):
        if not isinstance(data, dict):
            return [f"{where} is no object"]
        odd = [f"{where}: {name}" for name in data if isinstance(field, ByName) and name not in field.names]
        return odd + [wrong for name, one in data.items() for wrong in misfits(field.child, one, f"{where}.{name}")]
    return [] if _is(field, data) else [f"{where} is {data!r}, no {type(field).__name__}"]


def _one_of(field: Shape, data: Any, where: str) -> list[str]:
    """The one that the tag names, and no other."""
    tag = data.get(field.tag) if isinstance(data, dict) else None
    kinds = [kind for kind in field.one_of if kind.constant(field.tag) == tag]
    return misfits(kinds[0], data, where) if len(kinds) == 1 else [f"{where}.{field.tag} is {tag!r}"]


def _object(field: Shape, data: Any, where: str) -> list[str]:
    if not isinstance(data, dict):
        return [f"{where} is no object"]
    # One with a default may be left out where it is sent to us, never where we send it.
    required = {name for name, one in field.fields.items() if one.required or one.default is not empty}
    odd = [f"{where}: {name}" for name in (set(data) - set(field.fields)) | (required - set(data))]
    inside = [misfits(one, data[name], f"{where}.{name}") for name, one in field.fields.items() if name in data]
    return odd + [wrong for found in inside for wrong in found]


def _is(field: Any, data: Any) -> bool:
    if isinstance(field, serializers.JSONField):
        return True
    if isinstance(field, Flag):
        return isinstance(data, bool)
    if isinstance(field, Whole):
        return isinstance(data, int) and not isinstance(data, bool)
    if isinstance(field, Number):
        return isinstance(data, int | float) and not isinstance(data, bool)
    if isinstance(field, Id):
        return isinstance(data, str) and data == str(UUID(data))
    if isinstance(field, Moment):
        return isinstance(data, str) and bool(DATE.fullmatch(data))
    if isinstance(field, serializers.ChoiceField):
        return data in field.choices
    return isinstance(field, Text) and isinstance(data, str)
