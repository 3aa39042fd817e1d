"""The OpenAPI document of the wire, made from the table of operations."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from rest_framework import serializers
from rest_framework.fields import empty

from oasst.api.answers import JSON, PROBLEM
from oasst.api.codes import Wire
from oasst.api.fields import Shape
from oasst.api.operations import Access, Operation, is_id

Json = dict[str, Any]
_KEYS: dict[Access, list[Json]] = {
    Access.OPEN: [],
    Access.KEY: [{"key": []}, {"key_in_query": []}, {"token": []}],
    Access.PROGRAM: [{"key": []}, {"key_in_query": []}],
    Access.TRUSTED: [{"key": []}, {"key_in_query": []}],
    Access.ROOT: [{"root": []}],
    Access.MEMBER: [{"person": []}],
    Access.PERSON: [{"person": []}],
}
ACCESS_IN_WORDS = {
    Access.OPEN: "Open to everybody.",
    Access.KEY: "Needs the key of an API client, or a person's own token.",
    Access.PROGRAM: "Needs the key of an API client.",
    Access.TRUSTED: "Needs the key of a trusted API client.",
    Access.ROOT: "Needs a root token of the site.",
    Access.MEMBER: "Needs a person's token.",
    Access.PERSON: "Needs the token of a person who agreed to the terms.",
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
_REFUSAL: Json = {
    "type": "object",
    "description": "Why not. Decide by `error_code`; `message` is for people.",
    "properties": {
        "error_code": {"type": "integer"},
        "message": {"type": "string"},
        "detail": {"description": "Each place that is wrong, or the name of the status."},
    },
    "anyOf": [{"required": ["error_code", "message"]}, {"required": ["detail"]}],
}
_PROBLEM: Json = {
    "type": "object",
    "description": "The same after RFC 9457, to whoever accepts it. `code` is the reason in a word.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "error_code": {"type": "integer"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["type", "title", "status", "detail", "code", "error_code", "errors"],
}
_BY_STATUS = {
    400: "The request is garbled.",
    403: "Not open to this caller.",
    404: "There is no such path.",
    409: "It does not go with what is there, or this Idempotency-Key was used for another request.",
    410: "It is over.",
    413: "The body is too large.",
    422: "Path, query or body are not as described here; `detail` lists each place.",
    503: "Busy; try again after `Retry-After` seconds.",
}


def document(operations: Iterable[Operation], *, base: str) -> Json:
    """OpenAPI 3.1. `base` is the path in front of all operations."""
    shapes: dict[str, Json] = {"Refusal": _REFUSAL, "Problem": _PROBLEM}
    paths: dict[str, Json] = {}
    for one in operations:
        path = re.sub(r"<(\w+)>", r"{\1}", one.path)
        paths.setdefault(f"/{path}", {})[one.method.lower()] = _operation(one, shapes)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "oasst",
            "version": "1",
            "description": "Open-Assistant's REST protocol. Inputs are taken leniently: numbers as text, text as "
            "numbers, members that are not named here are ignored.",
        },
        "servers": [{"url": base}],
        "paths": paths,
        "components": {
            "schemas": shapes,
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "key_in_query": {"type": "apiKey", "in": "query", "name": "api_key"},
                "token": {"type": "http", "scheme": "bearer", "description": "A person's own token, for that person."},
                "root": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def refusals(operation: Operation) -> dict[int, dict[Wire, str]]:
    """Status → number → in words: every refusal that this operation may give."""
    found: dict[int, dict[Wire, str]] = defaultdict(dict)

    def may(status: int, number: Wire) -> None:
        found[status][number] = number.name if number else _BY_STATUS[status]

    numbers = [*operation.errors, Wire.DATABASE_MAX_RETRIES_EXHAUSTED]
    if operation.access != Access.OPEN:
        numbers += [Wire.API_CLIENT_NOT_AUTHORIZED, Wire.TOO_MANY_REQUESTS]
    if operation.access in (Access.KEY, Access.TRUSTED):
        numbers.append(Wire.USER_DISABLED)  # a person's own token
    if operation.access == Access.ROOT:
        numbers.append(Wire.ROOT_TOKEN_NOT_AUTHORIZED)
    if operation.viewer:
        numbers.append(Wire.USER_NOT_FOUND)
    if operation.fallback:
        numbers.append(operation.fallback)
    for number in dict.fromkeys(numbers):
        may(operation.statuses.get(number, number.status), number)
    may(400, Wire.GENERIC_ERROR)
    if operation.query or operation.body or operation.path_fields or any(is_id(name) for name in _names(operation)):
        may(422, Wire.GENERIC_ERROR)
    if operation.body or operation.method == "POST":
        may(413, Wire.GENERIC_ERROR)
    if _names(operation):
        may(404, Wire.GENERIC_ERROR)
    if operation.method == "POST" and operation.repeatable:
        may(409, Wire.GENERIC_ERROR)
    for status in operation.plain:
        may(status, Wire.GENERIC_ERROR)
    return dict(sorted(found.items()))


def _names(operation: Operation) -> list[str]:
    return re.findall(r"<(\w+)>", operation.path)


def _operation(operation: Operation, shapes: dict[str, Json]) -> Json:
    words = (operation.act.__doc__ or "").strip()
    found: Json = {
        "operationId": operation.act.__name__,
        "tags": [operation.path.partition("/")[0]],
        "summary": words,
        "description": ACCESS_IN_WORDS[operation.access],
        "security": _KEYS[operation.access],
        "parameters": _parameters(operation, shapes),
        "responses": {str(operation.status): _answer(operation, shapes)},
    }
    if operation.body:
        schema = schema_of(operation.body, shapes)
        found["requestBody"] = {"required": operation.body_required, "content": {JSON: {"schema": schema}}}
    if operation.method == "GET" and operation.media == JSON:
        found["responses"]["304"] = {"description": "The answer with this ETag is still true."}
    for status, reasons in refusals(operation).items():
        found["responses"][str(status)] = _refused(status, reasons)
    return found


def _parameters(operation: Operation, shapes: dict[str, Json]) -> list[Json]:
    found: list[Json] = []
    for name in _names(operation):
        if name in operation.path_fields:
            schema = schema_of(operation.path_fields[name], shapes)
        else:
            schema = {"type": "string", "format": "uuid"} if is_id(name) else {"type": "string", "minLength": 1}
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    for name, field in (operation.query().fields if operation.query else {}).items():
        schema = schema_of(field, shapes)
        found.append({"name": name, "in": "query", "required": field.required, "schema": schema})
    if operation.viewer:
        found.append(_VIEWER)
    if operation.method == "POST" and operation.repeatable:
        found.append(_IDEMPOTENCY)
    if operation.method == "GET" and operation.media == JSON:
        found.append(_ETAG)
    return found


def _answer(operation: Operation, shapes: dict[str, Json]) -> Json:
    if operation.answer is None:
        return {"description": "Done."}
    headers: Json = {}
    if operation.method == "GET" and operation.media == JSON:
        headers["ETag"] = {"schema": {"type": "string"}}
    if operation.by_cursor:
        headers["Link"] = {"description": "The pages beside (RFC 8288).", "schema": {"type": "string"}}
    found: Json = {
        "description": "The answer.",
        "content": {operation.media: {"schema": schema_of(operation.answer, shapes)}},
    }
    return found | ({"headers": headers} if headers else {})


def _refused(status: int, reasons: dict[Wire, str]) -> Json:
    found: Json = {
        "description": "; ".join(f"{number.value} {words}" for number, words in sorted(reasons.items())),
        "content": {
            JSON: {"schema": {"$ref": "#/components/schemas/Refusal"}},
            PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}},
        },
    }
    if status in (429, 503):
        found["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return found


# --- Shapes ---

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


def schema_of(declared: Any, shapes: dict[str, Json]) -> Json:
    """A declared shape or field as JSON Schema. Shapes go to `shapes` by their name and are referred to."""
    if isinstance(declared, tuple):
        return {"anyOf": [schema_of(one, shapes) for one in declared]}
    if isinstance(declared, list):
        return {"type": "array", "items": schema_of(declared[0], shapes)}
    field = declared() if isinstance(declared, type) else declared
    found = _schema(field, shapes)
    if field.help_text:
        found["description"] = str(field.help_text)
    if field.default not in (empty, None):
        found["default"] = field.default() if callable(field.default) else field.default
    if not field.allow_null or found == {}:
        return found
    return {**found, "type": [found["type"], "null"]} if "type" in found else {"anyOf": [found, {"type": "null"}]}


def _schema(field: Any, shapes: dict[str, Json]) -> Json:
    if isinstance(field, serializers.ListSerializer):
        return {"type": "array", "items": schema_of(field.child, shapes)}
    if isinstance(field, Shape):
        return _refer(field, shapes)
    if isinstance(field, serializers.ListField):
        least = {} if field.allow_empty else {"minItems": 1}
        return {"type": "array", "items": schema_of(field.child, shapes), **least}
    if isinstance(field, serializers.DictField):
        return {"type": "object", "additionalProperties": schema_of(field.child, shapes)}
    if isinstance(field, serializers.ChoiceField):
        return {"type": "string", "enum": [str(one) for one in field.choices]}
    if isinstance(field, serializers.JSONField):
        return {}
    found = next(dict(schema) for kind, schema in _SIMPLE if isinstance(field, kind))
    if found["type"] == "string" and getattr(field, "allow_blank", True) is False:
        found["minLength"] = 1
    limits = {there: getattr(field, here, None) for here, there in _LIMITS}
    return found | {name: limit for name, limit in limits.items() if limit is not None}


def _refer(shape: Shape, shapes: dict[str, Json]) -> Json:
    name = type(shape).__name__
    if name not in shapes:
        shapes[name] = {}  # it may hold itself
        shapes[name] = _object(shape, shapes)
    return {"$ref": f"#/components/schemas/{name}"}


def _object(shape: Shape, shapes: dict[str, Json]) -> Json:
    if shape.any_of:
        return {"anyOf": [schema_of(one, shapes) for one in shape.any_of]}
    required = [name for name, field in shape.fields.items() if field.required]
    found: Json = {"type": "object", "properties": {n: schema_of(f, shapes) for n, f in shape.fields.items()}}
    if type(shape).__doc__ and type(shape).__doc__ != Shape.__doc__:
        found["description"] = type(shape).__doc__
    return found | ({"required": required} if required else {})
