"""The headers for browsers and caches in every response, on every page."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from oasst.accounts import api_clients
from oasst.accounts.models import User
from oasst.core.http.middleware import ContentSecurityPolicy, PermissionsPolicy
from tests.factories import new_person
from tests.security.pages import addresses

pytestmark = pytest.mark.django_db
EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": PermissionsPolicy.POLICY,
}

# Its URL has a key, and its form must send where it comes from.
OF_SOME = {
    ("accounts/link/", "Referrer-Policy"): "strict-origin",
    ("accounts/login/link/", "Referrer-Policy"): "strict-origin",
    ("notices/stop/", "Referrer-Policy"): "strict-origin",
}


@pytest.fixture(autouse=True)
def _chat(settings: Any) -> None:
    settings.OASST_CHAT_MODEL = "tiny"


def signed_in(person: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(person)
    return client


def answers(client: Client) -> Any:
    """Of every page, whether it exists for this user or not."""
    for one in addresses():
        if one.is_page:
            yield one, client.get(one.filled(dict.fromkeys(one.parameters, str(uuid4()))))


@pytest.mark.slow
class TestEveryPage:
    @pytest.mark.parametrize("role", ["general", "admin"])
    def test_of_somebody(self, role: str) -> None:
        for one, response in answers(signed_in(new_person("Dora", role=role))):
            for name, value in EVERYWHERE.items():
                assert response[name] == OF_SOME.get((one.template, name), value), (one, name)
            assert "frame-ancestors 'none'" in response["Content-Security-Policy"], one
            if "Cookie" in response.get("Vary", ""):
                assert "no-store" in response["Cache-Control"], one
            assert not {"Server", "X-Powered-By", "X-AspNet-Version"} & set(response.headers), one

    def test_of_nobody(self, client: Client) -> None:
        """Users with a cookie, even if only for a form, get no shared copy either."""
        client.raise_request_exception = False
        client.get("/accounts/login/")
        for one, response in answers(client):
            if "Cookie" in response.get("Vary", ""):
                assert "no-store" in response["Cache-Control"], one


class TestPrivate:
    def test_personal_pages(self, alice: User) -> None:
        for path in ("/dashboard/", "/me/contributions/", "/chat/", "/me/points/", "/leaderboard/"):
            assert signed_in(alice).get(path)["Cache-Control"] == "private, no-store", path

    def test_forms_of_strangers(self, client: Client) -> None:
        assert "no-store" in client.get("/accounts/login/")["Cache-Control"]

    def test_what_everybody_sees_may_be_kept(self, client: Client) -> None:
        assert "Cache-Control" not in client.get("/docs/")

    def test_programs(self, client: Client) -> None:
        _, key = api_clients.create_api_client(name="bot", trusted=True)
        read = client.get("/api/v1/stats/", headers={"X-API-Key": key})
        assert read.status_code == 200 and read["Cache-Control"] == "private, no-cache", "it has an ETag"
        for refused in (
            client.get("/api/v1/stats/?api_key=wrong"),
            client.get("/api/v1/nothing", headers={"X-API-Key": "wrong"}),
            client.get("/inference/chats", headers={"Authorization": "Bearer wrong"}),
            client.get("/v1/models", headers={"Authorization": "Bearer wrong"}),
        ):
            assert refused.status_code >= 400 and "no-store" in refused["Cache-Control"]


class TestScripts:
    def test_only_pages_of_the_admin_evaluate(self, mo: User) -> None:
        client = signed_in(mo)
        assert "'unsafe-eval'" in client.get("/admin/")["Content-Security-Policy"]
        for path in ("/admin/jsi18n/", "/admin/autocomplete/", "/admin/nothing/", "/admin/trees/message/1/", "/me/"):
            assert client.get(path)["Content-Security-Policy"] == ContentSecurityPolicy.POLICY, path
        refused = client.get("/admin/accounts/apikey/")
        assert refused.status_code == 403 and "unsafe" not in refused["Content-Security-Policy"]


class TestStyleguide:
    PATHS = ("/styleguide/", "/styleguide/error-429/")

    @pytest.mark.parametrize("path", PATHS)
    def test_not_for_everybody(self, client: Client, alice: User, path: str) -> None:
        assert client.get(path).status_code == signed_in(alice).get(path).status_code == 404

    @pytest.mark.parametrize("path", PATHS)
    def test_for_staff_and_developers(self, client: Client, mo: User, settings: Any, path: str) -> None:
        assert signed_in(mo).get(path).status_code == 200
        settings.DEBUG = True
        assert client.get(path).status_code == 200
