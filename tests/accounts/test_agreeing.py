"""Accepting the terms through the API: every refusal says where, and the named version is recorded."""

import re
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client

from inference.models import Chat
from oasst.accounts import api_clients, consent, registration, tokens
from oasst.accounts.documents import TERMS
from oasst.accounts.models import Consent, Identity, User
from tasks.models import Task
from tests.accounts.test_commands import run
from tests.accounts.test_tokens import ME, program

pytestmark = pytest.mark.django_db
AGREES = {**ME, "tos_acceptance": True}
ASKS = {"type": "initial_prompt", "user": ME}


@pytest.fixture
def dora(db: None) -> User:
    """A user with a token who has not accepted the terms."""
    return registration.create_user(email="dora@example.org", display_name="Dora")


@pytest.fixture
def own(dora: User) -> Client:
    return program(tokens.new_token(dora)[1])


def post(client: Client, path: str, body: Any) -> Any:
    return client.post(path, body, content_type="application/json")


def upsert(client: Client, body: Any) -> Any:
    return post(client, "/api/v1/frontend_users/", body)


def test_every_edge_says_where(own: Client, dora: User, client: Client, settings: Any) -> None:
    settings.OASST_CHAT_MODEL = "tiny"
    client.force_login(dora)
    refusals = [
        (post(own, "/api/v1/tasks/", ASKS), 451, lambda body: body["message"]),
        (post(own, "/inference/chats", {}), 403, lambda body: body["detail"]),
        (own.get("/v1/models"), 403, lambda body: body["error"]["message"]),
        (client.get("/dashboard/", headers={"Accept": "application/json"}), 403, lambda body: body["message"]),
    ]
    for response, status, message_of in refusals:
        assert response.status_code == status, response.content
        message = message_of(response.json())
        assert f"version {TERMS.version}" in message
        assert re.findall(r"https?://[^\s,]+", message) == [
            f"{settings.PUBLIC_URL}/terms/accept/",
            f"{settings.PUBLIC_URL}/api/v1/frontend_users/",
        ]
    assert not Task.objects.exists() and not Chat.objects.exists()


@pytest.mark.parametrize("named", [{}, {"tos_version": None}, {"tos_version": ""}, {"tos_version": "1"}])
def test_a_token_agrees_to_a_text_that_it_names(own: Client, settings: Any, named: dict[str, Any]) -> None:
    refused = upsert(own, {**AGREES, **named})
    assert (refused.status_code, refused.json()["error_code"]) == (400, 0)
    message = refused.json()["message"]
    assert f"{settings.PUBLIC_URL}/terms/" in message and "tos_version" in message and TERMS.version in message
    assert not Consent.objects.exists()


def test_and_then_it_works(own: Client, dora: User) -> None:
    assert post(own, "/api/v1/tasks/", ASKS).status_code == 451
    for _ in range(2):
        known = upsert(own, {**AGREES, "tos_version": TERMS.version})
        assert known.status_code == 200 and known.json()["tos_acceptance_date"]
    assert [(one.user, one.version) for one in Consent.objects.all()] == [(dora, TERMS.version)]
    assert post(own, "/api/v1/tasks/", ASKS).status_code == 200
    assert own.get("/v1/models").status_code == 200


def test_the_example_names_the_version_in_force() -> None:
    assert f'"tos_version": "{TERMS.version}"' in (django_settings.BASE_DIR / "docs" / "api.md").read_text()


def test_what_says_nothing_of_terms_agrees_to_none(own: Client) -> None:
    for body in (ME, {**ME, "tos_version": TERMS.version}, {**AGREES, "tos_acceptance": False}):
        assert upsert(own, body).json()["tos_acceptance_date"] is None
    assert not Consent.objects.exists()


class TestPrograms:
    """They vouch for their users and need not name a version, but a wrong version is refused."""

    ADA = {"id": "ada", "display_name": "Ada", "auth_method": "local", "tos_acceptance": True}

    @pytest.fixture
    def site(self, db: None) -> Client:
        return Client(headers={"X-API-Key": api_clients.create_api_client(name="site", trusted=True)[1]})

    def test_another_text(self, site: Client) -> None:
        assert upsert(site, {**self.ADA, "tos_version": "1"}).status_code == 400
        assert not Identity.objects.exists() and not Consent.objects.exists()
        user_id = upsert(site, {**self.ADA, "tos_acceptance": None}).json()["user_id"]
        path = f"/api/v1/users/{user_id}?tos_acceptance=true&notes=kind"
        assert site.put(f"{path}&tos_version=1").status_code == 400
        assert not Consent.objects.exists() and not User.objects.get().notes
        assert site.put(f"{path}&tos_version={TERMS.version}").status_code == 204
        assert Consent.objects.count() == 1 and User.objects.get().notes == "kind"

    def test_not_for_the_people_of_others(self, site: Client, own: Client, dora: User) -> None:
        """Users who sign in here accept here, and users of another API client through that client."""
        other = Client(headers={"X-API-Key": api_clients.create_api_client(name="other", trusted=True)[1]})
        theirs = upsert(other, {**self.ADA, "tos_acceptance": None}).json()["user_id"]
        consent.accept_terms(dora)
        consent.withdraw_terms(dora)
        for person in (dora.pk, theirs):
            for version in ("", f"&tos_version={TERMS.version}"):
                refused = site.put(f"/api/v1/users/{person}?tos_acceptance=true&notes=kind{version}")
                assert (refused.status_code, refused.json()["error_code"]) == (403, 2)
                assert "your own" in refused.json()["message"]
            assert site.put(f"/api/v1/users/{person}?tos_acceptance=false&notes=kind").status_code == 204
        assert not Consent.objects.filter(withdrawn_at=None).exists()
        assert post(own, "/api/v1/tasks/", ASKS).status_code == 451

    def test_who_withdrew_is_asked_again(self, site: Client) -> None:
        """An API client may send "true" at each sign-in, without asking the user."""
        user_id = upsert(site, self.ADA).json()["user_id"]
        consent.withdraw_terms(User.objects.get())
        path = f"/api/v1/users/{user_id}?tos_acceptance=true"
        for refused in (upsert(site, self.ADA), site.put(path)):
            assert (refused.status_code, refused.json()["error_code"]) == (400, 0)
            message = refused.json()["message"]
            assert "withdrew" in message and f"tos_version {TERMS.version}" in message
        assert not Consent.objects.filter(withdrawn_at=None).exists()
        assert site.put(f"{path}&tos_version={TERMS.version}").status_code == 204
        assert Consent.objects.filter(withdrawn_at=None).count() == 1
        assert (upsert(site, self.ADA).status_code, site.put(path).status_code) == (200, 204), "it is in force"

    def test_what_they_are_told(self, site: Client, settings: Any) -> None:
        settings.API_REQUIRES_TERMS = True
        ada = {**self.ADA, "tos_acceptance": None}
        refused = post(site, "/api/v1/tasks/", {"type": "initial_prompt", "user": ada})
        assert refused.status_code == 451
        message, person = refused.json()["message"], User.objects.get()
        for address in ("/terms/", "/api/v1/frontend_users/", f"/api/v1/users/{person.pk}?tos_acceptance=true"):
            assert f"{settings.PUBLIC_URL}{address}" in message
        assert "/terms/accept/" not in message, "these people do not sign in here"


class TestCommand:
    def test_a_token_comes_with_what_it_lacks(self, settings: Any) -> None:
        output, _ = run("create_user", "ada@example.org", "--token")
        *_, hint, secret = output.strip().splitlines()
        assert f"{settings.PUBLIC_URL}/terms/accept/" in hint
        assert post(program(secret), "/api/v1/tasks/", ASKS).status_code == 451
        output, _ = run("create_user", "bo@example.org")
        assert "terms" not in output

    def test_for_somebody_who_was_told(self) -> None:
        output, _ = run("create_user", "ada@example.org", "--token", "--accept-terms")
        assert "terms" in output and "/terms/accept/" not in output
        assert Consent.objects.get().version == TERMS.version
        assert post(program(output.strip().splitlines()[-1]), "/api/v1/tasks/", ASKS).status_code == 200

    def test_nothing_is_half_done(self, alice: User) -> None:
        before = Consent.objects.count()
        with pytest.raises(Exception, match="already has an account"):
            run("create_user", str(alice.email), "--accept-terms")
        assert Consent.objects.count() == before
