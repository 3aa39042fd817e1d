"""OpenAPI documents, made from tables of operations: each interface for programs publishes its own."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from oasst.api.answers import JSON
from oasst.api.fields import Shape
from oasst.api.json_schema import Components, Json, reference, schema_of
from oasst.api.operations import Access, Operation, is_id

EVENT_STREAM = "text/event-stream"
PLACE: Json = {
    "type": "object",
    "description": "What is wrong in one place of path, query or body.",
    "properties": {
        "loc": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
        "msg": {"type": "string"},
        "type": {"type": "string"},
    },
    "required": ["loc", "msg", "type"],
}
DETAIL: Json = {
    "description": "What is wrong in a sentence, or each place that is wrong.",
    "anyOf": [{"type": "string"}, {"type": "array", "items": reference("Place")}],
}
PROBLEM_DETAILS: Json = {
    "type": "object",
    "description": "A refusal after RFC 9457, for whoever accepts that. `code` is the reason in a word.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "error_code": {"type": "integer"},
        "errors": {"type": "array", "items": reference("Place")},
    },
    "required": ["type", "title", "status", "detail", "code", "error_code", "errors"],
}
_VIEWER = {
    "name": "X-OASST-USER",
    "in": "header",
    "description": "Who looks or acts, as `auth_method:username`.",
    "schema": {"type": "string"},
}
_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A name for this attempt. Sent again with the same request it gets the first answer, and nothing is "
    "done twice. Refusals are not kept.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
}
_ETAG = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of the answer that the caller has: 304 without a body while it is still true.",
    "schema": {"type": "string", "pattern": "^[!-~]*$"},
}


@dataclass(frozen=True)
class Interface:
    """What the operations of one interface have in common."""

    base: str
    """The path in front of all operations."""
    title: str
    about: str
    access: Mapping[Access, str]
    """In words."""
    keys: Mapping[Access, list[Json]]
    """Any one of them opens the operation; each name stands in `schemes`."""
    schemes: Mapping[str, Json]
    refusals: Callable[[Operation], Mapping[int, str]]
    """Status → in words: every refusal that an operation may give."""
    envelopes: Mapping[str, str]
    """Media type → the component that a refusal has the shape of."""
    components: Mapping[str, Json]
    repeats: bool = False
    """A POST may have an Idempotency-Key."""
    etags: bool = True


def document(interface: Interface, operations: Iterable[Operation], *, told: type[Shape] | None = None) -> Json:
    """OpenAPI 3.1. `told`: what webhooks are sent, a union."""
    components = Components(interface.components)
    paths: dict[str, Json] = {}
    for one in operations:
        path = re.sub(r"<(\w+)>", r"{\1}", one.path)
        paths.setdefault(f"/{path}", {})[one.method.lower()] = _Described(one, interface, components).as_json()
    webhooks = {"webhooks": _webhooks(told, components)} if told else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": interface.title, "version": "1", "description": interface.about},
        "servers": [{"url": interface.base}],
        "paths": paths,
        **webhooks,
        "components": {"schemas": components, "securitySchemes": dict(interface.schemes)},
    }


def names_in(path: str) -> list[str]:
    return re.findall(r"<(\w+)>", path)


@dataclass(frozen=True)
class _Described:
    """One operation as OpenAPI has it."""

    operation: Operation
    interface: Interface
    components: Components

    def as_json(self) -> Json:
        one = self.operation
        found: Json = {
            "operationId": one.name or one.act.__name__,
            "tags": [one.path.partition("/")[0]],
            "summary": " ".join((one.act.__doc__ or "").partition("\n\n")[0].split()),
            "description": self.interface.access[one.access],
            "security": self.interface.keys[one.access],
            "parameters": [*self._path(), *self._query(), *self._headers()],
            "responses": {str(one.status): self._answer()},
        }
        if one.body:
            content = {JSON: {"schema": self._schema(one.body)}}
            found["requestBody"] = {"required": one.body_required, "content": content}
        for status, words in one.also.items():
            found["responses"][str(status)] = {"description": words}
        if self._has_etag:
            found["responses"]["304"] = {"description": "The answer with this ETag is still true."}
        for status, words in self.interface.refusals(one).items():
            found["responses"][str(status)] = self._refusal(status, words)
        return found

    @property
    def _has_etag(self) -> bool:
        one = self.operation
        return self.interface.etags and one.method == "GET" and one.media == JSON and one.answer is not None

    def _schema(self, declared: Any) -> Json:
        return schema_of(declared, self.components)

    def _path(self) -> list[Json]:
        found = []
        for name in names_in(self.operation.path):
            if name in self.operation.path_fields:
                schema = self._schema(self.operation.path_fields[name])
            else:
                schema = {"type": "string", "format": "uuid"} if is_id(name) else {"type": "string", "minLength": 1}
            found.append({"name": name, "in": "path", "required": True, "schema": schema})
        return found

    def _query(self) -> list[Json]:
        fields = self.operation.query().fields if self.operation.query else {}
        return [
            {"name": name, "in": "query", "required": one.required, "schema": self._schema(one)}
            for name, one in fields.items()
        ]

    def _headers(self) -> list[Json]:
        one = self.operation
        found: list[Json] = [
            {"name": name, "in": "header", "required": header.required, "schema": self._schema(header)}
            for name, header in one.headers.items()
        ]
        if one.viewer:
            found.append(_VIEWER)
        if self.interface.repeats and one.method == "POST" and one.repeatable:
            found.append(_IDEMPOTENCY)
        return [*found, _ETAG] if self._has_etag else found

    def _answer(self) -> Json:
        one = self.operation
        content: Json = {}
        if one.answer is not None:
            content[one.media] = {"schema": self._schema(one.answer)}
        elif one.status == 200 and not one.events:
            content[JSON] = {"schema": {"type": "null"}}
        if one.events:
            content[EVENT_STREAM] = {"schema": self._schema(one.events)}
        headers: Json = {
            name: {"description": words, "schema": {"type": "string"}} for name, words in one.tells.items()
        }
        if self._has_etag:
            headers["ETag"] = {"schema": {"type": "string"}}
        if one.by_cursor and self.interface.repeats:
            headers["Link"] = {"description": "The pages beside (RFC 8288).", "schema": {"type": "string"}}
        words = [] if one.events and one.answer is None else ["The answer." if one.answer is not None else "Done."]
        if one.events:
            words.append("A stream has one JSON object of its shape in each `data:`.")
        found: Json = {"description": " ".join(words)}
        return found | ({"content": content} if content else {}) | ({"headers": headers} if headers else {})

    def _refusal(self, status: int, words: str) -> Json:
        content = {media: {"schema": reference(name)} for media, name in self.interface.envelopes.items()}
        found: Json = {"description": words, "content": content}
        if status in (429, 503):
            found["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
        return found


def _webhooks(told: type[Shape], components: Components) -> Json:
    """One entry for each kind of event."""
    found = {}
    schema_of(told, components)
    for kind in told.one_of:
        name = kind.constant(told.tag)
        content = {JSON: {"schema": schema_of(kind, components)}}
        found[name] = {
            "post": {
                "summary": " ".join((kind.__doc__ or "").split()),
                "requestBody": {"required": True, "content": content},
                "responses": {"2XX": {"description": "It arrived."}},
            }
        }
    return found
