"""Every API publishes valid OpenAPI with exactly its paths, and without members whose type clients must guess."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from django.conf import settings
from django.test import Client
from django.urls import URLPattern
from drf_spectacular.drainage import GENERATOR_STATS

from inference import api_urls as chat
from inference.api import openai_urls as as_openai
from oasst.api.fields import Schema
from oasst.api.openapi import OperationSchema
from oasst.core.templatetags.spans import code_spans
from oasst.site import api_urls as data

INTERFACES = {"/api/v1": (data, "/docs/"), "/inference": (chat, "/docs/chat/"), "/v1": (as_openai, "/docs/openai/")}
every_interface = pytest.mark.parametrize("base", INTERFACES)


def document(base: str) -> dict[str, Any]:
    found: Callable[[], dict[str, Any]] = INTERFACES[base][0].document
    return found()


@every_interface
@pytest.mark.django_db
def test_it_is_published_to_everybody(client: Client, base: str) -> None:
    answer = client.get(f"{base}/openapi.json")
    assert answer.status_code == 200 and answer["Content-Type"] == "application/json"
    assert answer.json() == document(base)
    assert document(base)["servers"] == [{"url": base}]
    assert client.post(f"{base}/openapi.json").status_code == 405


@every_interface
@pytest.mark.django_db
def test_its_page_shows_names_as_code_and_can_be_found(client: Client, base: str) -> None:
    page = client.get(INTERFACES[base][1]).text
    assert "`" not in page
    assert "`" not in json.dumps(document(base)) or re.search(r"<code>[^<]+</code>[^<]*[a-z. ]", page)
    assert f'<a href="{INTERFACES["/api/v1"][1]}">' in client.get("/").text


def test_names_in_sentences_are_escaped_before_they_are_code() -> None:
    shown = code_spans("`<b>` & `a`, ``, a lone ` here")
    assert shown == "<code>&lt;b&gt;</code> &amp; <code>a</code>, ``, a lone ` here"


def test_the_page_on_openai_lists_every_status_of_its_schema() -> None:
    text = (settings.BASE_DIR / "docs" / "openai.md").read_text()
    table = text.partition("| Status | `code` |")[2].partition("\n\n")[0]
    told = {status for row in re.findall(r"^\| ([0-9, ]+) \|", table, re.M) for status in row.split(", ")}
    operations = [one for methods in as_openai.document()["paths"].values() for one in methods.values()]
    assert told == {status for one in operations for status in one["responses"] if status >= "4"}


@every_interface
def test_it_is_valid(base: str) -> None:
    schemathesis.openapi.from_dict(document(base)).validate()
    text, shapes = json.dumps(document(base)), document(base)["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= set(shapes)
    keys = document(base)["components"]["securitySchemes"]
    operations = [one for methods in document(base)["paths"].values() for one in methods.values()]
    assert {name for one in operations for way in one["security"] for name in way} <= set(keys)
    names = [one["operationId"] for one in operations]
    assert len(names) == len(set(names)) and all(one["summary"].endswith(".") for one in operations)


@every_interface
def test_nothing_in_it_is_guessed(base: str) -> None:
    """drf-spectacular counts a warning where it falls back to "a string"."""
    assert document(base) and not GENERATOR_STATS


@every_interface
def test_it_has_every_path_of_the_urls_and_no_other(base: str) -> None:
    urls: list[URLPattern] = INTERFACES[base][0].urlpatterns
    there = {"/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(url.pattern)) for url in urls if url.name}
    assert set(document(base)["paths"]) == there
    assert all(not str(url.pattern) for url in urls if not url.name), "only what catches the rest has no name"


@every_interface
def test_unions_are_told_apart(base: str) -> None:
    """Alternatives differ by a constant, by JSON type, by a text from a list, or by members that only one has."""
    shapes = document(base)["components"]["schemas"]
    for where, schema in walk(document(base)):
        if "oneOf" in schema and "discriminator" in schema:
            tag, mapping = schema["discriminator"]["propertyName"], schema["discriminator"]["mapping"]
            assert [one["$ref"] for one in schema["oneOf"]] == list(mapping.values()), where
            for value, reference in mapping.items():
                shape = shapes[reference.rpartition("/")[2]]
                assert shape["properties"][tag] == {"type": "string", "const": value}, where
                assert tag in shape["required"], where
        elif "oneOf" in schema:
            members = [set(shapes[one["$ref"].rpartition("/")[2]]["required"]) for one in schema["oneOf"]]
            assert not set.intersection(*members), where
        elif "anyOf" in schema:
            kinds = [kind(one, shapes) for one in schema["anyOf"]]
            assert len(kinds) == len(set(kinds)), (where, kinds)


def kind(schema: dict[str, Any], shapes: dict[str, Any]) -> str:
    if "$ref" in schema:
        return kind(shapes[schema["$ref"].rpartition("/")[2]], shapes)
    return str(schema["type"])


@every_interface
def test_no_member_has_two_meanings_by_its_name_alone(base: str) -> None:
    """Members that distinguish types, or have few values, are enumerations."""
    bare = {"type": "string"}
    for where, schema in walk(document(base)["components"]["schemas"]):
        for name, member in schema.get("properties", {}).items():
            if name in ("event_type", "object", "role", "state", "token_type", "time_frame", "widget", "mode", "order"):
                assert member != bare, f"{where}.{name}"
            if name == "type" and not where.endswith(("/Place", "/Problem")):
                assert member != bare, f"{where}.{name}"


def walk(schema: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield where, schema
        for name, inner in schema.items():
            yield from walk(inner, f"{where}/{name}")
    elif isinstance(schema, list):
        for inner in schema:
            yield from walk(inner, where)


@every_interface
@pytest.mark.django_db
def test_its_page(client: Client, base: str) -> None:
    page = client.get(INTERFACES[base][1]).content.decode()
    assert f'href="{base}/openapi.json"' in page
    for one in INTERFACES[base][0].OPERATIONS:
        assert f'id="{one.name or one.act.__name__}"' in page
    for shape in document(base)["components"]["schemas"]:
        assert f'id="shape-{shape}"' in page
    for _, other in INTERFACES.values():
        assert f'href="{other}"' in page


def test_two_shapes_of_one_name_are_refused() -> None:
    schema = OperationSchema(data.INTERFACE)
    first, second = type("Score", (Schema,), {}), type("Score", (Schema,), {})
    schema.schema_of(first)
    schema.schema_of(first())
    with pytest.raises(ValueError, match="Two schemas are called Score"):
        schema.schema_of(second)
