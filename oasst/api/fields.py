"""What clients may send, as leniently as they always could: numbers as text and text as numbers, many spellings of
yes and no, of UUIDs and of dates, an empty text for an empty object. Null is another matter: only where a field allows
it.
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
from oasst.core.timestamps import parse_moment

_YES = frozenset({"true", "1", "yes", "on", "t", "y"})
_NO = frozenset({"false", "0", "no", "off", "f", "n"})
_MILLISECONDS = 2e10  # a larger Unix time is in milliseconds


class Text(serializers.CharField):
    """A string as it was sent; numbers become one. Blanks alone are nothing where something must be said."""

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


class TextOrNull(Text):
    """Null where there is none: we keep an empty text, the wire does not."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, **kwargs)


class Whole(serializers.IntegerField):
    """A whole number, also as text."""

    default_error_messages = {"type_error.integer": "value is not a valid integer"}

    def to_internal_value(self, data: Any) -> int:
        try:
            number = int(data)
        except (TypeError, ValueError, OverflowError):
            self.fail("type_error.integer")
        if abs(number) >= 2**63:  # more than PostgreSQL counts
            self.fail("type_error.integer")
        return number


class Number(serializers.FloatField):
    default_error_messages = {"type_error.float": "value is not a valid float"}

    def to_internal_value(self, data: Any) -> float:
        try:
            number = float(data)
        except (TypeError, ValueError, OverflowError):
            self.fail("type_error.float")
        if not math.isfinite(number):  # NaN is less than no limit and more than none
            self.fail("type_error.float")
        return number


class Flag(serializers.BooleanField):
    default_error_messages = {"type_error.bool": "value could not be parsed to a boolean"}
    NULL_VALUES = {None}

    def to_internal_value(self, data: Any) -> bool:
        word = str(data).lower()
        if isinstance(data, str | int | float) and word in _YES:
            return True
        if isinstance(data, str | int | float) and word in _NO:
            return False
        self.fail("type_error.bool")


class Id(serializers.UUIDField):
    """A UUID in any spelling that Python reads."""

    default_error_messages = {"type_error.uuid": "value is not a valid uuid"}

    def to_internal_value(self, data: Any) -> UUID:
        try:
            return UUID(data)
        except (TypeError, ValueError, AttributeError):
            self.fail("type_error.uuid")


class Ids(Text):
    """UUIDs with commas between them, for queries."""

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


class Moment(serializers.DateTimeField):
    """ISO 8601 with a time, or Unix time. Without a zone it is UTC."""

    default_error_messages = {"value_error.datetime": "invalid datetime format"}

    def to_internal_value(self, value: Any) -> datetime:
        try:
            return _moment(str(value))
        except (ValueError, OverflowError, OSError):
            self.fail("value_error.datetime")


def _moment(text: str) -> datetime:
    try:
        number = float(text)
    except ValueError:
        return read_moment(text)
    return datetime.fromtimestamp(number / 1000 if abs(number) > _MILLISECONDS else number, UTC)


def read_moment(text: str) -> datetime:
    """ISO 8601 with a time; without a zone it is UTC. Raises ValueError."""
    if ":" not in text and "T" not in text:
        raise ValueError("a time is missing")
    return parse_moment(text, zone=UTC)


class Choice(serializers.ChoiceField):
    """One of a fixed list of words. A list that occurs in several places has a name in the published schema."""

    default_error_messages = {"invalid_choice": "value is not a valid enumeration member; permitted: {permitted}"}

    def __init__(self, choices: Iterable[str], *, called: str = "", **kwargs: Any) -> None:
        self.called = called
        super().__init__([str(one) for one in choices], **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        try:
            return self.choice_strings_to_values[str(data)]
        except KeyError:
            permitted = ", ".join(repr(str(choice)) for choice in self.choices)
            self.fail("invalid_choice", permitted=permitted)


class Constant(Choice):
    """Always the same word: what tells one shape from the others."""

    def __init__(self, value: str, **kwargs: Any) -> None:
        self.value = str(value)
        super().__init__([self.value], **kwargs)


class Nothing(serializers.Field[None, None, None, None]):
    """Always null."""

    def __init__(self) -> None:
        super().__init__(allow_null=True)


class Either(serializers.Field[Any, Any, Any, Any]):
    """A value of one of several forms that JSON tells apart by itself, as a text and a list. Only described."""

    def __init__(self, *forms: Any, **kwargs: Any) -> None:
        self.forms = forms
        super().__init__(**kwargs)


class ByName(serializers.DictField):
    """A value under each name of a fixed list; any of them may be absent."""

    def __init__(self, names: Iterable[str], **kwargs: Any) -> None:
        self.names = tuple(str(one) for one in names)
        super().__init__(**kwargs)


class Language(Text):
    """A language, or what else names a pool of work, in its usual case. Empty counts as absent."""

    default_error_messages = {"value_error.language": "this is not a tag; examples: en, pt-BR, zh-Hant"}

    def run_validation(self, data: Any = serializers.empty) -> Any:
        return super().run_validation(serializers.empty if data == "" else data)

    def to_internal_value(self, data: Any) -> str:
        try:
            return clean_pool_tag(super().to_internal_value(data))
        except Invalid:
            self.fail("value_error.language")


class Few(serializers.ListField):
    """A list whose length is looked at before what stands in it: a million items take a minute to check."""

    def __init__(self, *, max_length: int = 1000, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and len(data) > (self.max_length or 0):
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)


def as_object(data: Any) -> Mapping[str, Any]:
    """What stands for an object: `""` and `[]` for one without members, and a list of pairs for its members.

    It is what Python's `dict` makes of a value, since Open-Assistant's validation (pydantic 1) asked that. Raises
    ValidationError `type_error.dict`.
    """
    if isinstance(data, Mapping):
        return data
    with suppress(TypeError, ValueError):
        found = dict(data)
        if all(isinstance(name, str) for name in found):
            return found
    raise serializers.ValidationError(["value is not a valid dict"], code="type_error.dict")


class Shape(serializers.Serializer[Any]):
    """What an operation takes or gives, field by field. Members that are not named are ignored.

    On the way out a member is an attribute, or an item of a mapping, by its `source`. Values of our own kinds of field
    are written as they are, since `wire_json` knows moments and UUIDs.
    """

    one_of: tuple[type["Shape"], ...] = ()  # it is one of these, told apart by the constant called `tag`
    tag: str = "type"  # empty where each has members that no other has

    @classmethod
    def constant(cls, tag: str) -> str:
        """What this shape always has under the tag of a union."""
        found = cls().fields[tag]
        assert isinstance(found, Constant) and found.required, f"{cls.__name__}.{tag} is no constant"
        return found.value

    def to_internal_value(self, data: Any) -> Any:
        return super().to_internal_value(as_object(data))

    # What DRF asks each field for, for each value, is asked once: a page of a thousand messages has 24,000 values.

    def to_representation(self, instance: Any) -> dict[str, Any]:
        if self.one_of:
            tag = instance[self.tag] if isinstance(instance, Mapping) else getattr(instance, self.tag)
            return self._kinds[tag].to_representation(instance)
        if not isinstance(instance, Mapping):
            return self.represent_objects([instance])[0]
        if self._optional:
            wanted = self._sources.items()
            found = {name: instance[at] for name, at in wanted if at in instance or name not in self._optional}
        else:
            found = dict(zip(self._sources, self._items(instance), strict=True))
        self._represent_inside([found])
        return found

    def represent_objects(self, instances: Iterable[Any]) -> list[dict[str, Any]]:
        """Many at once, without a call of a Python function for each: where the stack of CPython 3.11 has just no room
        for one more frame, each such call takes 8 µs.
        """
        names, get = self._sources, self._attributes
        found = [dict(zip(names, get(one), strict=True)) for one in instances]
        self._represent_inside(found)
        return found

    def represent_many(self, instances: Iterable[Any]) -> list[dict[str, Any]]:
        several = list(instances)
        if self.one_of or not several or isinstance(several[0], Mapping):
            return [self.to_representation(one) for one in several]
        return self.represent_objects(several)

    def _represent_inside(self, found: list[dict[str, Any]]) -> None:
        for name, child in self._nested:
            for one in found:
                if one.get(name) is not None:
                    one[name] = child(one[name])

    @cached_property
    def _kinds(self) -> "dict[str, Shape]":
        return {kind.constant(self.tag): kind() for kind in self.one_of}

    @cached_property
    def _sources(self) -> dict[str, str]:
        found = {name: str(one.source) for name, one in self.fields.items()}
        if "*" in found.values():
            raise TypeError(f"A member of {type(self).__name__} is made from all of it, which shapes do not do.")
        return found

    @cached_property
    def _attributes(self) -> Callable[[Any], tuple[Any, ...]]:
        return _several(attrgetter, self._sources.values())

    @cached_property
    def _items(self) -> Callable[[Any], tuple[Any, ...]]:
        return _several(itemgetter, self._sources.values())

    @cached_property
    def _optional(self) -> frozenset[str]:
        return frozenset(
            name for name, one in self.fields.items() if not one.required and one.default is serializers.empty
        )

    @cached_property
    def _nested(self) -> list[tuple[str, Callable[[Any], Any]]]:
        children = ((name, _writer(one)) for name, one in self.fields.items())
        return [(name, child) for name, child in children if child is not None]


def _several(getter: Callable[..., Any], names: Collection[str]) -> Callable[[Any], tuple[Any, ...]]:
    """A getter of a tuple, also of one name, for which Python's own gives the value itself."""
    get = getter(*names)
    return get if len(names) > 1 else lambda instance: (get(instance),)


def represent(declared: Any) -> Callable[[Any], Any]:
    """A function that makes plain data of what an operation gives. `declared` is a shape, a field, or a list of one;
    None for nothing.
    """
    return _writer(declared) or (lambda value: value)


_PLAIN = (Text, Whole, Number, Flag, Id, Moment, Choice, Nothing, serializers.CharField, serializers.JSONField)


def _writer(declared: Any) -> Callable[[Any], Any] | None:
    """None for values that are written as they are."""
    if isinstance(declared, type):
        return _writer(declared())
    if isinstance(declared, Shape):
        return declared.to_representation
    if isinstance(declared, TextOrNull):
        return lambda text: text or None
    if declared is None or isinstance(declared, _PLAIN):
        return None
    if not isinstance(declared, list | serializers.ListSerializer | serializers.ListField | serializers.DictField):
        found: Callable[[Any], Any] = declared.to_representation
        return found
    inner = declared[0] if isinstance(declared, list) else declared.child
    inner = inner() if isinstance(inner, type) else inner
    child = _writer(inner)
    if child is None:
        return None
    if isinstance(declared, serializers.DictField):
        return lambda values: {name: child(one) for name, one in values.items()}
    return inner.represent_many if isinstance(inner, Shape) else lambda values: [child(one) for one in values]
