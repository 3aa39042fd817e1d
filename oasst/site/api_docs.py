"""The pages that explain the interfaces for programs to people, made from their OpenAPI documents."""

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
"""Status → number (or nothing) → in words."""


@dataclass(frozen=True)
class _Source:
    """What a page is made from."""

    interface: Interface
    operations: Sequence[Operation]
    document: dict[str, Any]
    reasons: Sequence[Reasons]
    """Of each operation."""


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """The interface of the data set."""
    return _page(request, _data())


@require_safe
def chat_docs(request: HttpRequest) -> HttpResponse:
    return _page(request, _chat())


@require_safe
def openai_docs(request: HttpRequest) -> HttpResponse:
    return _page(request, _as_openai())


def _page(request: HttpRequest, about: dict[str, Any]) -> HttpResponse:
    return render(request, "pages/api.html", {**about, "address": f"{settings.PUBLIC_URL}{about['base']}"})


@cache
def _data() -> dict[str, Any]:
    reasons = [
        {status: {number.value: words for number, words in found.items()} for status, found in refusals(one).items()}
        for one in data.OPERATIONS
    ]
    return _context(_Source(data.INTERFACE, data.OPERATIONS, data.document(), reasons))


@cache
def _chat() -> dict[str, Any]:
    return _context(_Source(CHAT, chat.OPERATIONS, chat.document(), _unnumbered(CHAT, chat.OPERATIONS)))


@cache
def _as_openai() -> dict[str, Any]:
    interface, operations = as_openai.INTERFACE, as_openai.OPERATIONS
    return _context(_Source(interface, operations, as_openai.document(), _unnumbered(interface, operations)))


def _unnumbered(interface: Interface, operations: Sequence[Operation]) -> list[Reasons]:
    return [{status: {"": words} for status, words in interface.refusals(one).items()} for one in operations]


def _context(source: _Source) -> dict[str, Any]:
    found = source.document
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            row = _row(f"{source.interface.base}{path}", method, operation)
            groups.setdefault(operation["tags"][0], []).append(row)
    statuses: dict[int, dict[Any, str]] = {}
    for reasons in source.reasons:
        for status, numbers in reasons.items():
            statuses.setdefault(status, {}).update(numbers)
    envelopes, shapes = source.interface.envelopes, found["components"]["schemas"]
    return {
        "title": source.interface.title,
        "base": source.interface.base,
        "has_clients": any(one.access in (Access.PROGRAM, Access.TRUSTED) for one in source.operations),
        "about": source.interface.about,
        "document": f"{source.interface.base}/openapi.json",
        "groups": groups,
        "envelope": shapes[envelopes[JSON]]["description"],
        "has_problems": PROBLEM in envelopes,
        "statuses": [(status, sorted(numbers.items())) for status, numbers in sorted(statuses.items())],
        "webhooks": [
            (name, one["post"]["summary"], _type(_content(one["post"]["requestBody"])))
            for name, one in found.get("webhooks", {}).items()
        ],
        "shapes": [(name, shape.get("description", ""), _members(shape)) for name, shape in sorted(shapes.items())],
    }


def _row(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "access": operation["description"],
        "parameters": [{**one, "type": _type(one["schema"])} for one in operation["parameters"]],
        "body": _type(_content(operation.get("requestBody", {}))),
        "answers": [
            {"status": status, "words": one["description"], "type": _types(one) if status < "3" else ""}
            for status, one in sorted(operation["responses"].items())
        ],
    }


def _types(response: dict[str, Any]) -> str:
    """What an answer may be: JSON, or the events of a stream."""
    return "; ".join(_type(one["schema"]) for one in response.get("content", {}).values())


def _content(one: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = one.get("content", {})
    found: dict[str, Any] = next(iter(content.values()), {})
    schema: dict[str, Any] = found.get("schema", {})
    return schema


def _members(shape: dict[str, Any]) -> list[tuple[str, str, bool]]:
    if "properties" not in shape:
        return [("", _type(shape), True)]
    required = shape.get("required", ())
    return [(name, _type(one), name in required) for name, one in shape["properties"].items()]


def _type(schema: dict[str, Any]) -> str:
    """A JSON Schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if several := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_type(one) for one in several)
    if "const" in schema:
        return str(schema["const"])
    kind = schema.get("type", "any" if schema else "")
    if isinstance(kind, list):
        return f"{_type({**schema, 'type': kind[0]})} or null"
    if kind == "array":
        return f"list of {_type(schema['items']) or 'anything'}"
    if "enum" in schema:
        return " | ".join(one for one in schema["enum"] if one is not None)
    words = [str(schema.get("format", kind))]
    words += [f"{name} {schema[key]}" for key, name in _LIMITS if key in schema and abs(schema[key]) < 2**62]
    words += [f"default {schema['default']}"] if "default" in schema else []
    return ", ".join(words)


_LIMITS = (("minimum", "from"), ("maximum", "to"), ("minLength", "at least"), ("maxLength", "at most"))
