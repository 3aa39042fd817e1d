"""Serializer and fields as lenient as Open-Assistant's: numbers as text and text as numbers, many spellings of
booleans, UUIDs and dates, and "" for an empty object. Null is accepted only with `allow_null`.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from operator import attrgetter, itemgetter
from typing import Any
from uuid import UUID

from rest_framework import serializers

from oasst.core.errors import Invalid
from oasst.core.text.validation import clean_pool_tag
from oasst.core.timestamps import parse_timestamp

_TRUE = frozenset({"true", "1", "yes", "on", "t", "y"})
_FALSE = frozenset({"false", "0", "no", "off", "f", "n"})
_MILLISECONDS = 2e10  # a larger Unix time is in milliseconds


class TextField(serializers.CharField):
    """A string as sent; numbers become strings. Without `allow_blank`, spaces alone are refused."""

    default_error_messages = {"type_error.str": "str type expected"}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_blank": True, "trim_whitespace": False, **kwargs})

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, str) and not self.allow_blank and not data.strip():
            self.fail("blank")
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str | int | float):
            self.fail("type_error.str")
        return str(data)


class NullableTextField(TextField):
    """A text that is stored as "" and sent as null when it is empty."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, **kwargs)


class IntegerField(serializers.IntegerField):
    """A 64-bit integer, also as text."""

    default_error_messages = {"type_error.integer": "value is not a valid integer"}

    def to_internal_value(self, data: Any) -> int:
        try:
            number = int(data)
        except (TypeError, ValueError, OverflowError):
            self.fail("type_error.integer")
        if abs(number) >= 2**63:  # too large for PostgreSQL
            self.fail("type_error.integer")
        return number


class FloatField(serializers.FloatField):
    default_error_messages = {"type_error.float": "value is not a valid float"}

    def to_internal_value(self, data: Any) -> float:
        try:
            number = float(data)
        except (TypeError, ValueError, OverflowError):
            self.fail("type_error.float")
        if not math.isfinite(number):  # NaN would pass the comparison with any limit
            self.fail("type_error.float")
        return number


class BooleanField(serializers.BooleanField):
    default_error_messages = {"type_error.bool": "value could not be parsed to a boolean"}
    NULL_VALUES = {None}

    def to_internal_value(self, data: Any) -> bool:
        word = str(data).lower() if isinstance(data, str | int | float) else ""
        if word not in _TRUE | _FALSE:
            self.fail("type_error.bool")
        return word in _TRUE


class UUIDField(serializers.UUIDField):
    """A UUID in any spelling that Python accepts."""

    default_error_messages = {"type_error.uuid": "value is not a valid uuid"}

    def to_internal_value(self, data: Any) -> UUID:
        try:
            return UUID(data)
        except (TypeError, ValueError, AttributeError):
            self.fail("type_error.uuid")


class UUIDListField(TextField):
    """Comma-separated UUIDs, for queries."""

    default_error_messages = {
        "type_error.uuid": "value is not a list of uuids",
        "value_error.list.max_items": "at most {max_count} are taken",
    }

    def __init__(self, *, max_count: int, **kwargs: Any) -> None:
        self.max_count = max_count
        super().__init__(**kwargs)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        words = super().run_validation(data).split(",")
        if len(words) > self.max_count:
            self.fail("value_error.list.max_items", max_count=self.max_count)
        try:
            return [UUID(word.strip()) for word in words if word.strip()]
        except ValueError:
            self.fail("type_error.uuid")


class DateTimeField(serializers.DateTimeField):
    """ISO 8601 with a time, or Unix time. UTC if there is no offset."""

    default_error_messages = {"value_error.datetime": "invalid datetime format"}

    def to_internal_value(self, value: Any) -> datetime:
        try:
            return _parse_datetime(str(value))
        except (ValueError, OverflowError, OSError):
            self.fail("value_error.datetime")


def _parse_datetime(text: str) -> datetime:
    try:
        number = float(text)
    except ValueError:
        return parse_iso_datetime(text)
    return datetime.fromtimestamp(number / 1000 if abs(number) > _MILLISECONDS else number, UTC)


def parse_iso_datetime(text: str) -> datetime:
    """Parse ISO 8601 with a time, in UTC if there is no offset. Raise ValueError."""
    if ":" not in text and "T" not in text:
        raise ValueError("a time is missing")
    return parse_timestamp(text, zone=UTC)


class ChoiceField(serializers.ChoiceField):
    """One of a fixed list of words. `called` names a list in the OpenAPI document that is used in several places."""

    default_error_messages = {"invalid_choice": "value is not a valid enumeration member; permitted: {permitted}"}

    def __init__(self, choices: Iterable[str], *, called: str = "", **kwargs: Any) -> None:
        self.called = called
        super().__init__([str(choice) for choice in choices], **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        try:
            return self.choice_strings_to_values[str(data)]
        except KeyError:
            permitted = ", ".join(repr(str(choice)) for choice in self.choices)
            self.fail("invalid_choice", permitted=permitted)


class ConstantField(ChoiceField):
    """Always the same word: the discriminator of a union."""

    def __init__(self, value: str, **kwargs: Any) -> None:
        self.value = str(value)
        super().__init__([self.value], **kwargs)


class NullField(serializers.Field[None, None, None, None]):
    """Always null."""

    def __init__(self) -> None:
        super().__init__(allow_null=True)


class AnyOfField(serializers.Field[Any, Any, Any, Any]):
    """A value of one of several JSON types, such as a text or a list. For the OpenAPI document only."""

    def __init__(self, *forms: Any, **kwargs: Any) -> None:
        self.forms = forms
        super().__init__(**kwargs)


class OptionalMembersField(serializers.DictField):
    """An object with optional members from a fixed list of names."""

    def __init__(self, names: Iterable[str], **kwargs: Any) -> None:
        self.names = tuple(map(str, names))
        super().__init__(**kwargs)


class LanguageTagField(TextField):
    """The tag of a language or of another pool of work, in its usual case. An empty one counts as absent."""

    default_error_messages = {"value_error.language": "this is not a tag; examples: en, pt-BR, zh-Hant"}

    def run_validation(self, data: Any = serializers.empty) -> Any:
        return super().run_validation(serializers.empty if data == "" else data)

    def to_internal_value(self, data: Any) -> str:
        try:
            return clean_pool_tag(super().to_internal_value(data))
        except Invalid:
            self.fail("value_error.language")


class BoundedList(serializers.ListField):
    """A list that checks its length before its items, because a million items take a minute to check."""

    def __init__(self, *, max_length: int = 1000, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and len(data) > (self.max_length or 0):
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)


def to_mapping(data: Any) -> Mapping[str, Any]:
    """Convert a value with `dict` as Open-Assistant (pydantic 1) does: `""` and `[]` are empty objects.

    Raise ValidationError `type_error.dict`.
    """
    if isinstance(data, Mapping):
        return data
    with suppress(TypeError, ValueError):
        mapping = dict(data)
        if all(isinstance(name, str) for name in mapping):
            return mapping
    raise serializers.ValidationError(["value is not a valid dict"], code="type_error.dict")


class Schema(serializers.Serializer[Any]):
    """A serializer for the input or output of an operation. Unknown members are ignored.

    In output a member is an attribute, or an item of a mapping, by its `source`. Values of our own fields are passed on
    unchanged, because `compact_json` writes datetimes and UUIDs.
    """

    one_of: tuple[type["Schema"], ...] = ()  # a union of these, discriminated by the constant named `tag`
    tag: str = "type"  # empty if each has members that no other has

    @classmethod
    def constant(cls, tag: str) -> str:
        """Return the value of this schema's discriminator."""
        field = cls().fields[tag]
        assert isinstance(field, ConstantField) and field.required, f"{cls.__name__}.{tag} is no constant"
        return field.value

    def to_internal_value(self, data: Any) -> Any:
        return super().to_internal_value(to_mapping(data))

    # Faster than DRF, which calls several methods per value: a page of a thousand messages has 24,000 values.

    def to_representation(self, instance: Any) -> dict[str, Any]:
        if self.one_of:
            tag = instance[self.tag] if isinstance(instance, Mapping) else getattr(instance, self.tag)
            return self._variants[tag].to_representation(instance)
        if not isinstance(instance, Mapping):
            return self.represent_objects([instance])[0]
        if self._optional:
            members = self._sources.items()
            data = {name: instance[key] for name, key in members if key in instance or name not in self._optional}
        else:
            data = dict(zip(self._sources, self._items(instance), strict=True))
        self._represent_nested([data])
        return data

    def represent_objects(self, instances: Iterable[Any]) -> list[dict[str, Any]]:
        """Represent many objects without a Python call for each: one takes 8 µs if CPython 3.11 must grow its stack."""
        names, get = self._sources, self._attributes
        result = [dict(zip(names, get(instance), strict=True)) for instance in instances]
        self._represent_nested(result)
        return result

    def represent_many(self, instances: Iterable[Any]) -> list[dict[str, Any]]:
        instances = list(instances)
        if self.one_of or not instances or isinstance(instances[0], Mapping):
            return [self.to_representation(instance) for instance in instances]
        return self.represent_objects(instances)

    def _represent_nested(self, result: list[dict[str, Any]]) -> None:
        for name, write in self._nested:
            for data in result:
                if data.get(name) is not None:
                    data[name] = write(data[name])

    @cached_property
    def _variants(self) -> "dict[str, Schema]":
        return {variant.constant(self.tag): variant() for variant in self.one_of}

    @cached_property
    def _sources(self) -> dict[str, str]:
        sources = {name: str(field.source) for name, field in self.fields.items()}
        if "*" in sources.values():
            raise TypeError(f'A member of {type(self).__name__} has source="*", which schemas do not support.')
        return sources

    @cached_property
    def _attributes(self) -> Callable[[Any], tuple[Any, ...]]:
        return _tuple_getter(attrgetter, self._sources.values())

    @cached_property
    def _items(self) -> Callable[[Any], tuple[Any, ...]]:
        return _tuple_getter(itemgetter, self._sources.values())

    @cached_property
    def _optional(self) -> frozenset[str]:
        fields = self.fields.items()
        return frozenset(name for name, f in fields if not f.required and f.default is serializers.empty)

    @cached_property
    def _nested(self) -> list[tuple[str, Callable[[Any], Any]]]:
        writers = ((name, _writer(field)) for name, field in self.fields.items())
        return [(name, write) for name, write in writers if write is not None]


def _tuple_getter(getter: Callable[..., Any], names: Collection[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a getter that returns a tuple for a single name too, unlike Python's own."""
    get = getter(*names)
    return get if len(names) > 1 else lambda instance: (get(instance),)


def make_representer(declared: Any) -> Callable[[Any], Any]:
    """Return a function that turns the result of an operation into plain data.

    `declared` is a schema, a field, a list of one of them, or None.
    """
    return _writer(declared) or (lambda value: value)


_PLAIN = (
    TextField,
    IntegerField,
    FloatField,
    BooleanField,
    UUIDField,
    DateTimeField,
    ChoiceField,
    NullField,
    serializers.CharField,
    serializers.JSONField,
)


def _writer(declared: Any) -> Callable[[Any], Any] | None:
    """Return the function that represents a value, or None if values are passed on unchanged."""
    if isinstance(declared, type):
        return _writer(declared())
    if isinstance(declared, Schema):
        return declared.to_representation
    if isinstance(declared, NullableTextField):
        return lambda text: text or None
    if declared is None or isinstance(declared, _PLAIN):
        return None
    if not isinstance(declared, list | serializers.ListSerializer | serializers.ListField | serializers.DictField):
        to_representation: Callable[[Any], Any] = declared.to_representation
        return to_representation
    child = declared[0] if isinstance(declared, list) else declared.child
    child = child() if isinstance(child, type) else child
    write = _writer(child)
    if write is None:
        return None
    if isinstance(declared, serializers.DictField):
        return lambda values: {name: write(value) for name, value in values.items()}
    return child.represent_many if isinstance(child, Schema) else lambda values: [write(value) for value in values]
