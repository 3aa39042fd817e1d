"""OpenAPI documents of the interfaces, made by drf-spectacular from their operations.

Import this module only when a document is requested, because drf-spectacular takes 30 ms to load. Overrides keep the
format from which clients were generated.
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

from oasst.api.fields import AnyOfField, ChoiceField, ConstantField, NullField, OptionalMembersField, Schema, TextField
from oasst.api.interfaces import Interface, Json, reference
from oasst.api.operations import Operation, group_by_path
from oasst.api.renderers import JSON
from oasst.api.views import OperationView

EVENT_STREAM = "text/event-stream"
_LARGEST = 2**63 - 1
_STRING: Json = {"type": "string"}


def _header(name: str, words: str, **limits: Any) -> Json:
    return {"name": name, "in": "header", "description": words, "schema": _STRING | limits}


_VIEWER = _header("X-OASST-USER", "The user who reads or acts, as `auth_method:username`.")
_IDEMPOTENCY = _header(
    "Idempotency-Key",
    "A name for this attempt. The same request with the same key gets the first response, and nothing is done twice. "
    "Refusals are not stored.",
    minLength=1,
    maxLength=200,
    pattern="^[!-~]+$",
)
_ETAG = _header(
    "If-None-Match",
    "The ETag of an earlier response: 304 without a body if nothing has changed.",
    pattern="^[!-~]*$",
)


def document(
    interface: Interface, operations: Iterable[Operation], *, webhook_events: type[Schema] | None = None
) -> Json:
    """Return the document in OpenAPI 3.1. `webhook_events` is their union."""
    with _ONE_AT_A_TIME:
        return _document(OperationSchema(interface), operations, webhook_events)


_ONE_AT_A_TIME = Lock()
"""drf-spectacular loads its extensions at their first use, which is not thread-safe."""


def _document(schema: "OperationSchema", operations: Iterable[Operation], webhook_events: type[Schema] | None) -> Json:
    interface, paths = schema.interface, {}
    for path, methods in group_by_path(operations).items():
        schema.view = interface.view(operations=methods)
        url = "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)
        paths[url] = {name.lower(): schema.get_operation(url, path, "", name, schema.registry) for name in methods}
    return {
        "openapi": "3.1.0",
        "info": {"title": interface.title, "version": "1", "description": interface.about},
        "servers": [{"url": interface.base}],
        "paths": paths,
        **({"webhooks": schema.webhooks(webhook_events)} if webhook_events else {}),
        "components": schema.registry.build({"securitySchemes": interface.schemes}),
    }


class Components(ComponentRegistry):
    """The `components` of a document: all schemas and named choices that it uses."""

    def __contains__(self, component: ResolvedComponent) -> bool:
        """Raise ValueError if two different schemas have the same name."""
        known = self._components.get(component.key)
        if known and known.object != component.object:
            raise ValueError(f"Two schemas are called {component.name}: {component.object} and {known.object}.")
        return known is not None


class OperationSchema(AutoSchema):
    """Describes the operations of a view."""

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
        """Keep empty lists, because an empty `security` means open and a missing one means unknown."""
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
        op = self.operation
        path = {
            name: TextField(allow_blank=False) if type(field) is TextField else field
            for name, field in op.path_fields_by_name.items()
        }
        query = op.query_schema.fields if op.query_schema else {}
        parameters: list[Json] = [
            {"name": name, "in": part, "required": part == "path" or field.required, "schema": self.schema_of(field)}
            for part, fields in (("path", path), ("query", query), ("header", op.headers))
            for name, field in fields.items()
        ]
        repeats = self.interface.view.repeats and op.method == "POST" and op.repeatable
        optional = ((op.viewer, _VIEWER), (repeats, _IDEMPOTENCY), (self._has_etag, _ETAG))
        return parameters + [header for is_used, header in optional if is_used]

    @property
    def _has_etag(self) -> bool:
        op = self.operation
        return self.interface.view.etags and op.method == "GET" and op.media == JSON and op.answer is not None

    def _get_request_body(self, direction: Any = "request") -> Json | None:
        return self._body(self.operation.body, self.operation.body_required) if self.operation.body else None

    def _body(self, schema: type[Schema], required: bool = True) -> Json:
        return {"required": required, "content": {JSON: {"schema": self.schema_of(schema)}}}

    def get_response_serializers(self) -> Any:
        """Return the responses by (status, media type)."""
        op = self.operation
        words = [] if op.events and op.answer is None else ["The answer." if op.answer is not None else "Done."]
        if op.events:
            words.append("A stream has one JSON object of its schema in each `data:`.")
        declared = {op.media: op.answer, EVENT_STREAM: op.events}
        content: Json = {media: self.schema_of(schema) for media, schema in declared.items() if schema is not None}
        if not content and op.status == 200:
            content = {JSON: {"type": "null"}}
        responses: dict[tuple[int, str], OpenApiResponse] = {
            (op.status, media): OpenApiResponse(schema, description=" ".join(words))
            for media, schema in (content or {JSON: None}).items()
        }
        also = {
            **op.other_statuses,
            **({304: "Nothing has changed since the response with this ETag."} if self._has_etag else {}),
        }
        responses |= {(status, JSON): OpenApiResponse(description=why) for status, why in also.items()}
        return responses | {
            (status, media): OpenApiResponse(reference(name), description=why)
            for status, why in self.interface.refusals(op).items()
            for media, name in self.interface.envelopes.items()
        }

    def _get_response_headers_for_code(self, status_code: str, direction: Any = "response") -> Json:
        op = self.operation
        if status_code in ("429", "503"):
            return {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
        if status_code != str(op.status):
            return {}
        headers: Json = {name: {"description": words, "schema": _STRING} for name, words in op.response_headers.items()}
        if self._has_etag:
            headers["ETag"] = {"schema": _STRING}
        if op.is_paginated and self.interface.view.repeats:
            headers["Link"] = {"description": "The previous and the next page (RFC 8288).", "schema": _STRING}
        return headers

    def webhooks(self, events: type[Schema]) -> Json:
        """Return one entry for each type of event."""
        self.schema_of(events)
        return {
            event.constant(events.tag): {
                "post": {
                    "summary": _in_a_line(event.__doc__ or ""),
                    "requestBody": self._body(event),
                    "responses": {"2XX": {"description": "It arrived."}},
                }
            }
            for event in events.one_of
        }

    def schema_of(self, declared: Any) -> Json:
        """Return the schema of a serializer, field, or list. Serializers and named choices become components."""
        if isinstance(declared, list):
            return build_array_type(self.schema_of(declared[0]))
        return self._map_serializer_field(force_instance(declared), "response")

    def resolve_serializer(self, serializer: Any, direction: Any, bypass_extensions: bool = False) -> ResolvedComponent:
        """Include serializers without members, which AutoSchema leaves out."""
        instance = force_instance(serializer)
        name = type(instance).__name__.removesuffix("Schema")
        component = ResolvedComponent(name, ResolvedComponent.SCHEMA, object=type(instance))
        if component not in self.registry:
            self.registry.register(component)  # first, because it may contain itself
            component.schema = self._map_serializer(instance, direction)
        return self.registry[component]

    def _map_serializer(self, serializer: Any, direction: Any, bypass_extensions: bool = False) -> Json:
        is_union = isinstance(serializer, Schema) and serializer.one_of
        schema = super()._map_serializer(_union(serializer) if is_union else serializer, direction)
        description = type(serializer).__doc__
        return {**schema, "description": _in_a_line(description)} if description else schema

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Json:
        """List required members in the order of the fields, not alphabetically."""
        fields: Mapping[str, Any] = serializer.fields
        required = [name for name, field in fields.items() if field.required]
        members = {name: self.schema_of(field) for name, field in fields.items()}
        return {"type": "object", "properties": members, **({"required": required} if required else {})}

    def _map_serializer_field(self, field: Any, direction: Any, bypass_extensions: bool = False) -> Json:
        schema = self._map_type(field)
        self._insert_field_validators(field, schema)
        if isinstance(field, serializers.CharField) and not field.allow_blank:
            schema.setdefault("minLength", 1)
        if field.allow_null:
            schema = _or_null(schema)
        if field.help_text:
            schema["description"] = str(field.help_text)
        if field.default not in (empty, None):
            schema["default"] = field.default() if callable(field.default) else field.default
        return schema

    def _get_serializer_field_meta(self, field: Any, direction: Any) -> Json:
        return {}  # drf-spectacular's own has the OpenAPI 3.0 form next to a reference

    def _insert_field_validators(self, field: Any, schema: Json) -> None:
        if not isinstance(field, serializers.ListField):  # the maximum of a list is not documented
            super()._insert_field_validators(field, schema)
        elif not field.allow_empty:
            schema["minItems"] = 1

    def _map_type(self, field: Any) -> Json:
        """Return the schema of a field without the options that all fields share."""
        match field:
            case ConstantField():
                return {"type": "string", "const": field.value}
            case ChoiceField():
                schema = {"type": "string", "enum": [str(choice) for choice in field.choices]}
                return self._named(field.called, schema) if field.called else schema
            case NullField():
                return {"type": "null"}
            case AnyOfField():
                return {"anyOf": [self.schema_of(form) for form in field.forms]}
            case OptionalMembersField():
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


def _or_null(schema: Json) -> Json:
    if schema in ({}, {"type": "null"}):
        return schema
    if "type" not in schema:
        return {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}
    values = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **values}


def _union(union: Schema) -> PolymorphicProxySerializer:
    """Return a union with a discriminator, so that clients need not guess."""
    name = type(union).__name__
    if not union.tag:
        return PolymorphicProxySerializer(name, union.one_of, None)
    variants: dict[str, Any] = {variant.constant(union.tag): variant for variant in union.one_of}
    assert len(variants) == len(union.one_of), f"two variants of {name} have the same {union.tag}"
    return PolymorphicProxySerializer(name, variants, union.tag)
