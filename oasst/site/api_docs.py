"""The pages that document our APIs, made from their OpenAPI documents."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from inference import api_urls as chat
from inference.api import openai_urls as as_openai
from inference.api.openapi_details import INTERFACE as CHAT
from oasst.api.interfaces import Interface
from oasst.api.openapi_details import refusals
from oasst.api.operations import Access, Operation
from oasst.api.renderers import JSON, PROBLEM
from oasst.site import api_urls as data

Reasons = Mapping[int, Mapping[Any, str]]
"""HTTP status → error code (or an empty string) → description."""


MAX_SEARCH_LENGTH = 200


@dataclass(frozen=True)
class _Source:
    """The data that a page is made from."""

    interface: Interface
    operations: Sequence[Operation]
    document: dict[str, Any]
    reasons: Sequence[Reasons]
    """The refusals of each operation."""


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """Show the documentation of the data set's API."""
    return _page(request, _data())


@require_safe
def chat_docs(request: HttpRequest) -> HttpResponse:
    return _page(request, _chat())


@require_safe
def openai_docs(request: HttpRequest) -> HttpResponse:
    return _page(request, _as_openai())


def _page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Show all operations folded by group, or those of a search open: without script, `?q=` searches."""
    words = request.GET.get("q", "").strip()[:MAX_SEARCH_LENGTH]
    groups = _with_words(context["groups"], words) if words else context["groups"]
    found = {"groups": groups, "words": words, "number_found": sum(map(len, groups.values()))}
    return render(request, "pages/api.html", {**context, **found, "address": f"{settings.PUBLIC_URL}{context['base']}"})


def _with_words(groups: dict[str, list[dict[str, Any]]], words: str) -> dict[str, list[dict[str, Any]]]:
    """Return the operations that have all words in method, path, summary or id, as static/js/api.js finds them."""
    wanted = words.lower().split()
    found = {}
    for name, rows in groups.items():
        fitting = [row for row in rows if all(word in _searched(row) for word in wanted)]
        if fitting:
            found[name] = fitting
    return found


def _searched(row: dict[str, Any]) -> str:
    return f"{row['method']} {row['path']} {row['summary']} {row['id']}".lower()


@cache
def _data() -> dict[str, Any]:
    reasons = [
        {status: {code.value: words for code, words in codes.items()} for status, codes in refusals(operation).items()}
        for operation in data.OPERATIONS
    ]
    return _context(_Source(data.INTERFACE, data.OPERATIONS, data.document(), reasons))


@cache
def _chat() -> dict[str, Any]:
    return _context(_Source(CHAT, chat.OPERATIONS, chat.document(), _without_codes(CHAT, chat.OPERATIONS)))


@cache
def _as_openai() -> dict[str, Any]:
    interface, operations = as_openai.INTERFACE, as_openai.OPERATIONS
    return _context(_Source(interface, operations, as_openai.document(), _without_codes(interface, operations)))


def _without_codes(interface: Interface, operations: Sequence[Operation]) -> list[Reasons]:
    return [{status: {"": words} for status, words in interface.refusals(each).items()} for each in operations]


def _context(source: _Source) -> dict[str, Any]:
    document = source.document
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            row = _row(f"{source.interface.base}{path}", method, operation, document["components"]["schemas"])
            groups.setdefault(operation["tags"][0], []).append(row)
    statuses: dict[int, dict[Any, str]] = {}
    for reasons in source.reasons:
        for status, codes in reasons.items():
            statuses.setdefault(status, {}).update(codes)
    envelopes, schemas = source.interface.envelopes, document["components"]["schemas"]
    return {
        "title": source.interface.title,
        "base": source.interface.base,
        "has_clients": any(op.access in (Access.PROGRAM, Access.TRUSTED) for op in source.operations),
        "about": source.interface.about,
        "document": f"{source.interface.base}/openapi.json",
        "groups": groups,
        "envelope": schemas[envelopes[JSON]]["description"],
        "has_problems": PROBLEM in envelopes,
        "statuses": [(status, sorted(codes.items())) for status, codes in sorted(statuses.items())],
        "webhooks": [
            (name, event["post"]["summary"], _type(_content(event["post"]["requestBody"])))
            for name, event in document.get("webhooks", {}).items()
        ],
        "schemas": [
            (name, schema.get("description", ""), _members(schema)) for name, schema in sorted(schemas.items())
        ],
    }


def _row(path: str, method: str, operation: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    body = _content(operation.get("requestBody", {}))
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "access": operation["description"],
        "parameters": [{**parameter, "type": _type(parameter["schema"])} for parameter in operation["parameters"]],
        "body": _type(body),
        "body_schema": body["$ref"].rpartition("/")[2] if "$ref" in body else "",
        "example": json.dumps(_example(body, schemas), indent=2, ensure_ascii=False) if body else "",
        "answers": [
            {"status": status, "words": response["description"], "type": _types(response) if status < "3" else ""}
            for status, response in sorted(operation["responses"].items())
        ],
    }


def _types(response: dict[str, Any]) -> str:
    """Describe what a response may contain: JSON, or the events of a stream."""
    return "; ".join(_type(content["schema"]) for content in response.get("content", {}).values())


def _content(described: dict[str, Any]) -> dict[str, Any]:
    """Return the first schema of a request body or response."""
    content: dict[str, Any] = next(iter(described.get("content", {}).values()), {})
    schema: dict[str, Any] = content.get("schema", {})
    return schema


def _members(schema: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Return (name, type, whether required) of each member."""
    if "properties" not in schema:
        return [("", _type(schema), True)]
    required = schema.get("required", ())
    return [(name, _type(member), name in required) for name, member in schema["properties"].items()]


def _type(schema: dict[str, Any]) -> str:
    """Describe a JSON Schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if several := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_type(variant) for variant in several)
    if "const" in schema:
        return str(schema["const"])
    kind = schema.get("type", "any" if schema else "")
    if isinstance(kind, list):
        return f"{_type({**schema, 'type': kind[0]})} or null"
    if kind == "array":
        return f"list of {_type(schema['items']) or 'anything'}"
    if "enum" in schema:
        return " | ".join(value for value in schema["enum"] if value is not None)
    words = [str(schema.get("format", kind))]
    words += [f"{name} {schema[key]}" for key, name in _LIMITS if key in schema and abs(schema[key]) < 2**62]
    words += [f"default {schema['default']}"] if "default" in schema else []
    return ", ".join(words)


_LIMITS = (("minimum", "from"), ("maximum", "to"), ("minLength", "at least"), ("maxLength", "at most"))

_MAX_DEPTH = 4  # of an example: schemas may contain themselves


def _example(schema: dict[str, Any], schemas: dict[str, Any], depth: int = 0) -> Any:
    """Return a value of this JSON Schema that shows its form: required members, or all if none is."""
    if depth > _MAX_DEPTH:
        return None
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rpartition("/")[2]], schemas, depth)
    if several := schema.get("anyOf") or schema.get("oneOf"):
        return _example(several[0], schemas, depth)
    for given in ("default", "const"):
        if given in schema:
            return schema[given]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "array":
        return [_example(schema["items"], schemas, depth + 1)]
    if kind == "object":
        members = schema.get("properties", {})
        names = schema.get("required") or members
        return {name: _example(members[name], schemas, depth + 1) for name in names if name in members}
    if kind == "string":
        return _TEXTS.get(schema.get("format", ""), "text")
    return {"boolean": False}.get(kind, max(0, schema.get("minimum", 0)))


_TEXTS = {"uuid": "00000000-0000-0000-0000-000000000000", "date-time": "2026-01-31T12:00:00Z"}
