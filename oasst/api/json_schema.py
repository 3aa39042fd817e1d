"""Declared shapes and fields as JSON Schema, for the OpenAPI documents of all interfaces."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.fields import empty

from oasst.api.fields import ByName, Choice, Constant, Either, Nothing, Shape

Json = dict[str, Any]
_SIMPLE: tuple[tuple[type[serializers.Field[Any, Any, Any, Any]], Json], ...] = (
    (serializers.BooleanField, {"type": "boolean"}),
    (serializers.IntegerField, {"type": "integer", "minimum": -(2**63) + 1, "maximum": 2**63 - 1}),
    (serializers.FloatField, {"type": "number"}),
    (serializers.UUIDField, {"type": "string", "format": "uuid"}),
    (serializers.DateTimeField, {"type": "string", "format": "date-time"}),
    (serializers.CharField, {"type": "string"}),
)
_LIMITS = (
    ("min_value", "minimum"),
    ("max_value", "maximum"),
    ("min_length", "minLength"),
    ("max_length", "maxLength"),
)


class Components(dict[str, Json]):
    """`components.schemas` of one document: every shape and every named choice that was met, by its name."""

    def __init__(self, first: Mapping[str, Json] | None = None) -> None:
        super().__init__(first or {})
        self._declared: dict[str, Any] = dict.fromkeys(self)

    def claim(self, name: str, declared: Any) -> bool:
        """True if the caller has to describe it. Raises ValueError where two different things have one name: clients
        would read the one as the other.
        """
        is_new = name not in self._declared
        if self._declared.setdefault(name, declared) != declared:
            raise ValueError(f"Two shapes are called {name}: {declared} and {self._declared[name]}.")
        return is_new


def reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def schema_of(declared: Any, components: Components) -> Json:
    """A declared shape or field. Shapes and named choices go to `components` and are referred to."""
    if isinstance(declared, list):
        return {"type": "array", "items": schema_of(declared[0], components)}
    field = declared() if isinstance(declared, type) else declared
    found = _schema(field, components)
    if field.allow_null:
        found = _or_null(found)
    if field.help_text:
        found["description"] = str(field.help_text)
    if field.default not in (empty, None):
        found["default"] = field.default() if callable(field.default) else field.default
    return found


def _or_null(found: Json) -> Json:
    if found in ({}, {"type": "null"}):
        return found
    if "type" not in found:
        return {"anyOf": [*found.get("anyOf", [found]), {"type": "null"}]}
    values = {"enum": [*found["enum"], None]} if "enum" in found else {}
    return {**found, "type": [found["type"], "null"], **values}


def _schema(field: Any, components: Components) -> Json:
    if isinstance(field, serializers.ListSerializer):
        return {"type": "array", "items": schema_of(field.child, components)}
    if isinstance(field, Shape):
        return _refer(field, components)
    if isinstance(field, serializers.ListField):
        least = {} if field.allow_empty else {"minItems": 1}
        return {"type": "array", "items": schema_of(field.child, components), **least}
    if isinstance(field, ByName):
        values = {name: schema_of(field.child, components) for name in field.names}
        return {"type": "object", "properties": values, "additionalProperties": False}
    if isinstance(field, serializers.DictField):
        return {"type": "object", "additionalProperties": schema_of(field.child, components)}
    if isinstance(field, Constant):
        return {"type": "string", "const": field.value}
    if isinstance(field, serializers.ChoiceField):
        return _choice(field, components)
    if isinstance(field, Nothing):
        return {"type": "null"}
    if isinstance(field, Either):
        return {"anyOf": [schema_of(one, components) for one in field.forms]}
    if isinstance(field, serializers.JSONField):
        return {}
    found = next(dict(schema) for kind, schema in _SIMPLE if isinstance(field, kind))
    if found["type"] == "string" and getattr(field, "allow_blank", True) is False:
        found["minLength"] = 1
    limits = {there: getattr(field, here, None) for here, there in _LIMITS}
    return found | {name: limit for name, limit in limits.items() if limit is not None}


def _choice(field: Any, components: Components) -> Json:
    found = {"type": "string", "enum": [str(one) for one in field.choices]}
    if not isinstance(field, Choice) or not field.called:
        return found
    if components.claim(field.called, tuple(found["enum"])):
        components[field.called] = found
    return reference(field.called)


def _refer(shape: Shape, components: Components) -> Json:
    name = type(shape).__name__
    if components.claim(name, type(shape)):
        components[name] = {}  # it may hold itself
        components[name] = _object(shape, components)
    return reference(name)


def _object(shape: Shape, components: Components) -> Json:
    words = type(shape).__doc__ or ""
    about = {"description": " ".join(words.split())} if words and words != Shape.__doc__ else {}
    if shape.one_of:
        return {**about, **_union(shape, components)}
    required = [name for name, field in shape.fields.items() if field.required]
    members = {name: schema_of(field, components) for name, field in shape.fields.items()}
    return {"type": "object", "properties": members, **about, **({"required": required} if required else {})}


def _union(shape: Shape, components: Components) -> Json:
    """Told apart by the constant that each of them has under the same name, so that no client has to guess."""
    if not shape.tag:
        return {"oneOf": [schema_of(kind, components) for kind in shape.one_of]}
    mapping = {}
    for kind in shape.one_of:
        value = kind.constant(shape.tag)
        assert value not in mapping, f"{value} is two kinds of {type(shape).__name__}"
        mapping[value] = schema_of(kind, components)
    return {
        "oneOf": list(mapping.values()),
        "discriminator": {
            "propertyName": shape.tag,
            "mapping": {value: found["$ref"] for value, found in mapping.items()},
        },
    }
