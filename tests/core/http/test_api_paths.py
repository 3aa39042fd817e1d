"""The API prefixes, compared with the URL configuration."""

from typing import Any

import pytest
from django.test import Client

from inference.api import openai_views
from oasst.api.views import OperationView, unknown_path
from oasst.core.http.api_paths import is_api_path, is_openai_path
from tests.security.pages import Address, addresses


def answers_programs(one: Address) -> bool:
    """Decide by the view, not by the URL."""
    view = getattr(one.view, "view_class", None)
    if one.view is unknown_path or (isinstance(view, type) and issubclass(view, OperationView)):
        return True
    return getattr(one.view, "__module__", "") == openai_views.__name__


def test_the_table_of_urls_agrees() -> None:
    found = {one: is_api_path(f"/{one.template}") for one in addresses()}
    wrong = [one.template for one, told in found.items() if told != answers_programs(one)]
    assert wrong == []
    assert sum(found.values()) > 100
    assert {one.template.split("/")[0] for one, told in found.items() if told} == {"api", "inference", "v1"}


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/v2/x", "/inference", "/v1", "/v1/models"])
def test_also_where_nothing_stands(path: str) -> None:
    assert is_api_path(path)


@pytest.mark.parametrize("path", ["/", "", "/apiary/", "/v10/", "/inference-docs/", "/chat/api/", "/docs/"])
def test_what_only_looks_alike(path: str) -> None:
    assert not is_api_path(path) and not is_openai_path(path)


@pytest.mark.django_db
class TestEveryWire:
    """The middleware knows all of them."""

    @pytest.mark.parametrize("path", ["/api", "/api/nothing", "/inference/nothing", "/v1", "/v1/nothing"])
    def test_no_redirect_to_a_slash_and_no_page(self, client: Client, path: str) -> None:
        response = client.get(path)
        assert response.status_code == 404
        assert response["Content-Type"] == "application/json"

    @pytest.mark.parametrize("path", ["/api/v1/x", "/inference/x", "/v1/models"])
    def test_a_refusal_before_any_view_is_no_page(self, path: str, settings: Any) -> None:
        settings.ALLOWED_HOSTS = ["here.example"]
        response = Client(raise_request_exception=False).get(path, headers={"Host": "elsewhere.example"})
        assert response.status_code == 400
        told = response.json()
        assert "garbled" in (told["error"]["message"] if path.startswith("/v1/") else told["message"])
