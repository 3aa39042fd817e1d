"""OpenAPI documents of the interfaces for programs: drf-spectacular, which reads the declared rows here.

To be imported where a document is asked for, since drf-spectacular takes its time to load (30 ms). Where it would have
another form of the same, the form stays that clients have been generated from.
"""

import re
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ComponentRegistry, ResolvedComponent, build_array_type, force_instance
from drf_spectacular.utils import OpenApiResponse, PolymorphicProxySerializer
from rest_framework import serializers
from rest_framework.fields import empty

from oasst.api.fields import ByName, Choice, Constant, Either, Nothing, Shape, Text
from oasst.api.interfaces import Interface, Json, reference
from oasst.api.operations import Operation, by_path
from oasst.api.renderers import JSON
from oasst.api.views import OperationView

EVENT_STREAM = "text/event-stream"
_LARGEST = 2**63 - 1
_STRING: Json = {"type": "string"}


def _header(name: str, words: str, **limits: Any) -> Json:
    return {"name": name, "in": "header", "description": words, "schema": _STRING | limits}


_VIEWER = _header("X-OASST-USER", "Who looks or acts, as `auth_method:username`.")
_IDEMPOTENCY = _header(
    "Idempotency-Key",
    "A name for this attempt. Sent again with the same request it gets the first answer, and nothing is done twice. "
    "Refusals are not kept.",
    minLength=1,
    maxLength=200,
    pattern="^[!-~]+$",
)
_ETAG = _header(
    "If-None-Match",
    "The ETag of the answer that the caller has: 304 without a body while it is still true.",
    pattern="^[!-~]*$",
)


def document(interface: Interface, operations: Iterable[Operation], *, told: type[Shape] | None = None) -> Json:
    """OpenAPI 3.1. `told`: what webhooks are sent, a union."""
    with _ONE_AT_A_TIME:
        return _document(OperationSchema(interface), operations, told)


_ONE_AT_A_TIME = Lock()
"""drf-spectacular looks its extensions up at their first use, and two threads at once trip over each other."""


def _document(schema: "OperationSchema", operations: Iterable[Operation], told: type[Shape] | None) -> Json:
    interface, paths = schema.interface, {}
    for path, methods in by_path(operations).items():
        schema.view = interface.view(operations=methods)
        url = "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)
        paths[url] = {name.lower(): schema.get_operation(url, path, "", name, schema.registry) for name in methods}
    return {
        "openapi": "3.1.0",
        "info": {"title": interface.title, "version": "1", "description": interface.about},
        "servers": [{"url": interface.base}],
        "paths": paths,
        **({"webhooks": schema.webhooks(told)} if told else {}),
        "components": schema.registry.build({"securitySchemes": interface.schemes}),
    }


class Components(ComponentRegistry):
    """`components` of one document: every shape and every named choice that was met, by its name."""

    def __contains__(self, component: ResolvedComponent) -> bool:
        """Raises ValueError where two different things have one name: clients would read the one as the other."""
        known = self._components.get(component.key)
        if known and known.object != component.object:
            raise ValueError(f"Two shapes are called {component.name}: {component.object} and {known.object}.")
        return known is not None


class OperationSchema(AutoSchema):
    """Describes the operations of a view by their rows."""

    def __init__(self, interface: Interface) -> None:
        super().__init__()
        self.interface = interface
        self.registry = Components()
        for name, schema in interface.components.items():
            self._named(name, schema)

    @property
    def operation(self) -> Operation:
        assert isinstance(self.view, OperationView)
        return self.view.operations[self.method]

    def get_operation(self, *args: Any) -> Json:
        """Also lists that are empty: no `security` would say that nobody knows, and not that it is open."""
        return {"parameters": [], "security": [], **(super().get_operation(*args) or {})}

    def get_operation_id(self) -> str:
        return self.operation.name or self.operation.act.__name__

    def get_summary(self) -> str:
        return _in_a_line((self.operation.act.__doc__ or "").partition("\n\n")[0])

    def get_description(self) -> str:  # type: ignore[override]  # AutoSchema has it so
        return self.interface.access[self.operation.access][0]

    def get_auth(self) -> list[Json]:
        return [{scheme: []} for scheme in self.interface.access[self.operation.access][1]]

    def _get_parameters(self) -> list[Json]:
        one = self.operation
        path = {name: Text(allow_blank=False) if type(field) is Text else field for name, field in one.in_path.items()}
        query = one.query_shape.fields if one.query_shape else {}
        found: list[Json] = [
            {"name": name, "in": place, "required": place == "path" or field.required, "schema": self.schema_of(field)}
            for place, fields in (("path", path), ("query", query), ("header", one.headers))
            for name, field in fields.items()
        ]
        repeats = self.interface.view.repeats and one.method == "POST" and one.repeatable
        more = ((one.viewer, _VIEWER), (repeats, _IDEMPOTENCY), (self._has_etag, _ETAG))
        return found + [header for there, header in more if there]

    @property
    def _has_etag(self) -> bool:
        one = self.operation
        return self.interface.view.etags and one.method == "GET" and one.media == JSON and one.answer is not None

    def _get_request_body(self, direction: Any = "request") -> Json | None:
        return self._body(self.operation.body, self.operation.body_required) if self.operation.body else None

    def _body(self, shape: type[Shape], required: bool = True) -> Json:
        return {"required": required, "content": {JSON: {"schema": self.schema_of(shape)}}}

    def get_response_serializers(self) -> Any:
        """Status and media type → the answer."""
        one = self.operation
        words = [] if one.events and one.answer is None else ["The answer." if one.answer is not None else "Done."]
        if one.events:
            words.append("A stream has one JSON object of its shape in each `data:`.")
        declared = {one.media: one.answer, EVENT_STREAM: one.events}
        content: Json = {media: self.schema_of(shape) for media, shape in declared.items() if shape is not None}
        if not content and one.status == 200:
            content = {JSON: {"type": "null"}}
        found: dict[tuple[int, str], OpenApiResponse] = {
            (one.status, media): OpenApiResponse(schema, description=" ".join(words))
            for media, schema in (content or {JSON: None}).items()
        }
        also = {**one.also, **({304: "The answer with this ETag is still true."} if self._has_etag else {})}
        found |= {(status, JSON): OpenApiResponse(description=why) for status, why in also.items()}
        return found | {
            (status, media): OpenApiResponse(reference(name), description=why)
            for status, why in self.interface.refusals(one).items()
            for media, name in self.interface.envelopes.items()
        }

    def _get_response_headers_for_code(self, status_code: str, direction: Any = "response") -> Json:
        one = self.operation
        if status_code in ("429", "503"):
            return {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
        if status_code != str(one.status):
            return {}
        found: Json = {name: {"description": words, "schema": _STRING} for name, words in one.tells.items()}
        if self._has_etag:
            found["ETag"] = {"schema": _STRING}
        if one.by_cursor and self.interface.view.repeats:
            found["Link"] = {"description": "The pages beside (RFC 8288).", "schema": _STRING}
        return found

    def webhooks(self, told: type[Shape]) -> Json:
        """One entry for each kind of event."""
        self.schema_of(told)
        return {
            kind.constant(told.tag): {
                "post": {
                    "summary": _in_a_line(kind.__doc__ or ""),
                    "requestBody": self._body(kind),
                    "responses": {"2XX": {"description": "It arrived."}},
                }
            }
            for kind in told.one_of
        }

    def schema_of(self, declared: Any) -> Json:
        """A declared shape or field, or a list of one. Shapes and named choices become components."""
        if isinstance(declared, list):
            return build_array_type(self.schema_of(declared[0]))
        return self._map_serializer_field(force_instance(declared), "response")

    def resolve_serializer(self, serializer: Any, direction: Any, bypass_extensions: bool = False) -> ResolvedComponent:
        """Also a shape without members, which AutoSchema leaves out."""
        shape = force_instance(serializer)
        component = ResolvedComponent(type(shape).__name__, ResolvedComponent.SCHEMA, object=type(shape))
        if component not in self.registry:
            self.registry.register(component)  # it may hold itself
            component.schema = self._map_serializer(shape, direction)
        return self.registry[component]

    def _map_serializer(self, serializer: Any, direction: Any, bypass_extensions: bool = False) -> Json:
        several = isinstance(serializer, Shape) and serializer.one_of
        found = super()._map_serializer(_union(serializer) if several else serializer, direction)
        words = type(serializer).__doc__
        return {**found, "description": _in_a_line(words)} if words else found

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Json:
        """What is required is listed in the order of the members, and not by the alphabet."""
        fields: Mapping[str, Any] = serializer.fields
        required = [name for name, field in fields.items() if field.required]
        members = {name: self.schema_of(field) for name, field in fields.items()}
        return {"type": "object", "properties": members, **({"required": required} if required else {})}

    def _map_serializer_field(self, field: Any, direction: Any, bypass_extensions: bool = False) -> Json:
        found = self._form(field)
        self._insert_field_validators(field, found)
        if isinstance(field, serializers.CharField) and not field.allow_blank:
            found.setdefault("minLength", 1)
        if field.allow_null:
            found = _or_null(found)
        if field.help_text:
            found["description"] = str(field.help_text)
        if field.default not in (empty, None):
            found["default"] = field.default() if callable(field.default) else field.default
        return found

    def _get_serializer_field_meta(self, field: Any, direction: Any) -> Json:
        return {}  # beside a reference it would have the form of OpenAPI 3.0

    def _insert_field_validators(self, field: Any, schema: Json) -> None:
        if not isinstance(field, serializers.ListField):  # how many a list may have is not told
            super()._insert_field_validators(field, schema)
        elif not field.allow_empty:
            schema["minItems"] = 1

    def _form(self, field: Any) -> Json:
        """A field without what all kinds of them may have."""
        match field:
            case Constant():
                return {"type": "string", "const": field.value}
            case Choice():
                found = {"type": "string", "enum": [str(one) for one in field.choices]}
                return self._named(field.called, found) if field.called else found
            case Nothing():
                return {"type": "null"}
            case Either():
                return {"anyOf": [self.schema_of(one) for one in field.forms]}
            case ByName():
                members = {name: self.schema_of(field.child) for name in field.names}
                return {"type": "object", "properties": members, "additionalProperties": False}
            case serializers.IntegerField():
                return {"type": "integer", "minimum": -_LARGEST, "maximum": _LARGEST}
            case serializers.FloatField():
                return {"type": "number"}
        return super()._map_serializer_field(field, "response")

    def _named(self, name: str, schema: Json) -> Json:
        self.registry.register_on_missing(ResolvedComponent(name, ResolvedComponent.SCHEMA, schema, schema))
        return reference(name)


def _in_a_line(text: str) -> str:
    return " ".join(text.split())


def _or_null(found: Json) -> Json:
    if found in ({}, {"type": "null"}):
        return found
    if "type" not in found:
        return {"anyOf": [*found.get("anyOf", [found]), {"type": "null"}]}
    values = {"enum": [*found["enum"], None]} if "enum" in found else {}
    return {**found, "type": [found["type"], "null"], **values}


def _union(shape: Shape) -> PolymorphicProxySerializer:
    """Told apart by the constant that each of them has under the same name, so that no client has to guess."""
    name = type(shape).__name__
    if not shape.tag:
        return PolymorphicProxySerializer(name, shape.one_of, None)
    kinds: dict[str, Any] = {kind.constant(shape.tag): kind for kind in shape.one_of}
    assert len(kinds) == len(shape.one_of), f"two kinds of {name} have one {shape.tag}"
    return PolymorphicProxySerializer(name, kinds, shape.tag)
