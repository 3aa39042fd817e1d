"""The page that explains the wire to people, made from its OpenAPI document."""

from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from oasst.api.codes import Wire
from oasst.api.schema import ACCESS_IN_WORDS, refusals
from oasst.api_admin import API_PREFIX
from oasst.api_urls import OPERATIONS, document


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    return render(request, "pages/api.html", _context())


@cache
def _context() -> dict[str, Any]:
    found = document()
    groups: dict[str, list[dict[str, Any]]] = {}
    statuses: dict[int, dict[Wire, str]] = {}
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            row = {
                "id": operation["operationId"],
                "method": method.upper(),
                "path": f"{API_PREFIX}{path}",
                "summary": operation["summary"],
                "access": operation["description"],
                "parameters": [{**one, "type": _type(one["schema"])} for one in operation["parameters"]],
                "body": _type(_content(operation.get("requestBody", {}))),
                "answers": [
                    {
                        "status": status,
                        "words": one["description"],
                        "type": _type(_content(one)) if status < "3" else "",
                    }
                    for status, one in sorted(operation["responses"].items())
                ],
            }
            groups.setdefault(operation["tags"][0], []).append(row)
    for one in OPERATIONS:
        for status, numbers in refusals(one).items():
            statuses.setdefault(status, {}).update(numbers)
    return {
        "groups": groups,
        "access": ACCESS_IN_WORDS.values(),
        "statuses": [
            (status, [(number.value, words) for number, words in sorted(numbers.items())])
            for status, numbers in sorted(statuses.items())
        ],
        "shapes": [(name, _members(shape)) for name, shape in sorted(found["components"]["schemas"].items())],
    }


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
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    kind = schema.get("type", "any" if schema else "")
    if isinstance(kind, list):
        return f"{_type({**schema, 'type': kind[0]})} or null"
    if kind == "array":
        return f"list of {_type(schema['items']) or 'anything'}"
    if "enum" in schema:
        return " | ".join(schema["enum"])
    words = [str(schema.get("format", kind))]
    words += [f"{name} {schema[key]}" for key, name in _LIMITS if key in schema and abs(schema[key]) < 2**62]
    words += [f"default {schema['default']}"] if "default" in schema else []
    return ", ".join(words)


_LIMITS = (("minimum", "from"), ("maximum", "to"), ("minLength", "at least"), ("maxLength", "at most"))
