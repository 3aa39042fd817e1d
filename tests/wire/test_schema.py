"""The OpenAPI document and its page describe every operation correctly. `conftest.check` compares the responses of
all calls in these tests with it.
"""

import json
import re
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from oasst.api.error_codes import ErrorCode as Number
from oasst.api.operations import Access
from oasst.site.api_urls import OPERATIONS, document

METHODS = {"get", "post", "put", "delete"}


def test_every_operation_once() -> None:
    found = {(method, path) for path, methods in document()["paths"].items() for method in methods}
    declared = {(one.method.lower(), "/" + re.sub(r"<(\w+)>", r"{\1}", one.path)) for one in OPERATIONS}
    assert found == declared and len(OPERATIONS) == len(declared)
    names = [one["operationId"] for methods in document()["paths"].values() for one in methods.values()]
    assert len(names) == len(set(names))


def test_every_operation_tells_its_errors() -> None:
    for declared in OPERATIONS:
        path = "/" + re.sub(r"<(\w+)>", r"{\1}", declared.path)
        operation = document()["paths"][path][declared.method.lower()]
        assert operation["summary"].endswith("."), path
        told = " ".join(one["description"] for one in operation["responses"].values())
        for number in declared.errors:
            assert f"{number.value} {number.name}" in told, (path, number)
        assert declared.access == Access.OPEN or Number.API_CLIENT_NOT_AUTHORIZED.name in told


def test_references_lead_somewhere() -> None:
    text = json.dumps(document())
    shapes = document()["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= set(shapes)
    assert all(shapes.values())


@pytest.mark.django_db
def test_both_are_open_to_everybody(client: Client) -> None:
    response: Any = client.get("/api/v1/openapi.json")
    assert response.status_code == 200 and response.json() == document()
    page = client.get("/docs/").content.decode()
    for one in OPERATIONS:
        assert f'id="{one.act.__name__}"' in page
    assert "<script" not in page.partition("<main")[2].partition("</main>")[0]
    for status in (400, 403, 404, 409, 422, 503):
        assert f'id="status-{status}"' in page
    for shape in document()["components"]["schemas"]:
        assert f'id="shape-{shape}"' in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("page", "base", "of_clients"), [("", "/api/v1", True), ("chat/", "/inference", True), ("openai/", "/v1", False)]
)
def test_the_page_says_where_to_send_and_where_a_token_comes_from(
    client: Client, settings: Settings, page: str, base: str, of_clients: bool
) -> None:
    settings.PUBLIC_URL = "https://oasst.example.org"
    text = client.get(f"/docs/{page}").text
    assert f"<code>https://oasst.example.org{base}</code>" in text
    assert '<a href="/me/tokens/">make one</a>' in text
    assert ("key of an API client, which an administrator makes" in text) is of_clients
    assert text.count(f'<a href="/docs/{page}" aria-current="page">') == 1
