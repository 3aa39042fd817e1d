"""Keys, tokens and the envelopes of refusals."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from oasst.accounts import account_bans, api_clients, closing, tokens
from oasst.accounts.models import ApiClient, ApiKey, Token, User
from oasst.api import error_codes
from oasst.api.error_codes import ErrorCode
from oasst.core import ratelimit
from oasst.core.ratelimit import RateLimit

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _urls(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.api.urls"


@pytest.fixture
def key(db: None) -> str:
    return api_clients.create_api_client(name="bot", key="bot-key")[1]


@pytest.fixture
def api(key: str) -> Client:
    return Client(headers={"X-API-Key": key}, raise_request_exception=False)


def refused(response: Any) -> bool:
    return bool(response.status_code == 403 and response.json()["error_code"] == 2 and response.json()["message"])


class TestApiKeys:
    def test_in_the_header(self, api: Client) -> None:
        assert api.get("/api/whoami").json() == {"client": "bot", "person": "AnonymousUser"}

    def test_in_the_query_which_wins(self, client: Client, key: str) -> None:
        assert client.get(f"/api/whoami?api_key={key}").status_code == 200
        assert client.get(f"/api/whoami?api_key={key}", headers={"X-API-Key": "wrong"}).status_code == 200
        assert refused(client.get("/api/whoami?api_key=wrong", headers={"X-API-Key": key}))
        assert client.get("/api/whoami?api_key=", headers={"X-API-Key": key}).status_code == 200

    def test_none_or_a_wrong_one(self, client: Client, key: str) -> None:
        response = client.get("/api/whoami")
        assert refused(response)
        assert "WWW-Authenticate" not in response
        assert refused(client.get("/api/whoami", headers={"X-API-Key": "wrong"}))
        assert refused(client.get("/api/whoami", headers={"X-API-Key": key.upper()}))

    def test_a_disabled_program(self, api: Client) -> None:
        ApiClient.objects.update(enabled=False)
        assert refused(api.get("/api/whoami"))

    def test_expiry(self, api: Client) -> None:
        ApiKey.objects.update(expires_at=timezone.now() + timedelta(hours=1))
        assert api.get("/api/whoami").status_code == 200
        ApiKey.objects.update(expires_at=timezone.now())
        assert refused(api.get("/api/whoami"))

    def test_a_change_of_keys_without_a_gap(self, api: Client) -> None:
        _, second = api_clients.create_api_key(ApiClient.objects.get())
        assert api.get("/api/whoami").status_code == 200
        assert Client(headers={"X-API-Key": second}).get("/api/whoami").status_code == 200

    def test_last_used_to_the_minute(self, api: Client, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(2):
            api.get("/api/whoami")
        first = ApiKey.objects.get().last_used_at
        assert first is not None
        with django_assert_num_queries(1):
            api.get("/api/whoami")
        ApiKey.objects.update(last_used_at=first - timedelta(minutes=2))
        api.get("/api/whoami")
        assert ApiKey.objects.get().last_used_at > first

    def test_open_views_need_none(self, client: Client) -> None:
        assert client.get("/api/open").json() == {"open": True}

    def test_pages_of_other_sites_are_refused_with_a_right_key(self, api: Client) -> None:
        assert refused(api.get("/api/whoami", headers={"Sec-Fetch-Site": "cross-site"}))

    def test_writes_are_limited(self, api: Client, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.RATE_LIMITS = True
        monkeypatch.setattr(ratelimit, "CLIENT_WRITES", RateLimit("few", "1 per hour", "changes"))
        assert [
            api.post("/api/whoami", {"text": "x", "size": 1}, content_type="application/json").status_code for _ in "ab"
        ] == [
            200,
            429,
        ]

    def test_an_open_view_may_be_written_to_by_nobody_in_particular(self, client: Client) -> None:
        assert client.post("/api/open").json() == {"open": True}


class TestTokens:
    def bearer(self, secret: str, scheme: str = "Bearer") -> Client:
        return Client(headers={"Authorization": f"{scheme} {secret}"})

    def test_it_works(self, alice: User) -> None:
        _, secret = tokens.new_token(alice)
        assert self.bearer(secret).get("/api/whoami").json()["person"] == "Alice"
        assert self.bearer(secret, "bearer").get("/api/whoami").status_code == 200

    def test_refused(self, alice: User) -> None:
        _, secret = tokens.new_token(alice)
        assert refused(self.bearer("wrong").get("/api/whoami"))
        assert refused(self.bearer(secret, "Basic").get("/api/whoami"))
        Token.objects.update(expires_at=timezone.now())
        assert refused(self.bearer(secret).get("/api/whoami"))

    def test_suspended_and_closed_people(self, alice: User, bob: User, mo: User) -> None:
        _, of_alice = tokens.new_token(alice)
        _, of_bob = tokens.new_token(bob)
        account_bans.ban(alice, actor=mo, reason="Spam")
        closing.close_account(bob)
        response = self.bearer(of_alice).get("/api/whoami")
        assert (response.status_code, response.json()["error_code"]) == (503, ErrorCode.USER_DISABLED)
        assert refused(self.bearer(of_bob).get("/api/whoami"))

    def test_a_key_is_no_token(self, key: str) -> None:
        assert refused(self.bearer(key).get("/api/whoami"))

    def test_a_signed_in_browser_is_not_a_program(self, client: Client, alice: User) -> None:
        client.force_login(alice)
        assert refused(client.get("/api/whoami"))


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "status", "number"),
        [
            ("invalid", 400, 0),
            ("not-allowed", 403, 0),
            ("not-found", 404, 0),
            ("conflict", 409, 0),
            ("gone", 410, 0),
            ("busy", 503, 0),
            ("limited", 429, 429),
            ("locked", 503, 4),
        ],
    )
    def test_the_envelope(
        self, api: Client, name: str, status: int, number: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(error_codes._numbers, "blank", raising=False)  # an app has a number for it
        response = api.get(f"/api/trouble/{name}")
        assert response.status_code == status
        assert response["Content-Type"] == "application/json"
        body = response.json()
        assert set(body) == {"error_code", "message"}
        assert body["error_code"] == number and body["message"]

    def test_waiting_time(self, api: Client) -> None:
        assert api.get("/api/trouble/limited")["Retry-After"] == "42"

    def test_apps_bring_their_own_numbers(self, api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(error_codes, "_numbers", {})
        error_codes.register_codes({"gone": ErrorCode.TASK_EXPIRED})
        error_codes.register_codes({"gone": ErrorCode.TASK_EXPIRED})
        response = api.get("/api/trouble/gone")
        assert (response.status_code, response.json()["error_code"]) == (400, 2101)
        with pytest.raises(ValueError):
            error_codes.register_codes({"gone": ErrorCode.TASK_NOT_FOUND})

    def test_nothing_there(self, api: Client) -> None:
        assert api.get("/api/trouble/missing").json() == {"detail": "Not Found"}
        assert api.get("/api/nowhere").json()["error_code"] == 0

    def test_wrong_method(self, api: Client) -> None:
        response = api.delete("/api/whoami")
        assert response.status_code == 405
        assert "GET" in response["Allow"] and "detail" in response.json()

    def test_a_bug_tells_nothing(self, api: Client) -> None:
        response = api.get("/api/trouble/crash")
        assert response.status_code == 500
        assert response.json()["error_code"] == 0
        assert "a bug" not in response.text


class TestRefusalsOfTheFramework:
    """Errors of DRF's own permissions and throttles, in the envelope of each interface."""

    @pytest.mark.parametrize(("name", "member"), [("api", "detail"), ("inference", "detail"), ("v1", "error")])
    def test_each_interface(self, client: Client, name: str, member: str) -> None:
        closed, early = client.get(f"/{name}/closed"), client.get(f"/{name}/early")
        assert closed.status_code == 403 and closed.json()[member]
        assert early.status_code == 429 and early.json()[member]
        assert early["Retry-After"] == "7"

    @pytest.mark.parametrize("name", ["api", "inference", "v1"])
    @pytest.mark.parametrize("method", ["HEAD", "POST", "PATCH", "OPTIONS", "TRACE", "BREW"])
    def test_a_method_that_the_path_has_not(self, client: Client, name: str, method: str) -> None:
        response = client.generic(method, f"/{name}/early")
        assert (response.status_code, response["Allow"]) == (405, "GET")


class TestBadInput:
    def test_every_problem_with_its_place(self, api: Client) -> None:
        response = api.post(
            "/api/whoami",
            {"size": 7, "labels": [{"name": "ok"}, {"name": "too long"}]},
            content_type="application/json",
        )
        assert response.status_code == 422
        body = response.json()
        places = {tuple(problem["loc"]): problem["type"] for problem in body["detail"]}
        assert places == {
            ("body", "text"): "value_error.missing",
            ("body", "size"): "value_error.number.not_le",
            ("body", "labels", 1, "name"): "value_error.any_str.max_length",
        }
        assert all(problem["msg"] for problem in body["detail"])
        assert body["error_code"] == 0 and body["message"].startswith("text: ")

    def test_not_json(self, api: Client) -> None:
        response = api.post("/api/whoami", "{nonsense", content_type="application/json")
        assert response.status_code == 422
        assert response.json()["detail"][0]["type"] == "value_error.jsondecode"

    def test_json_of_another_shape(self, api: Client) -> None:
        response = api.post("/api/whoami", "[1]", content_type="application/json")
        assert response.status_code == 422
        assert response.json()["detail"][0]["loc"] == ["body"]

    def test_a_key_is_asked_for_first(self, client: Client) -> None:
        assert refused(client.post("/api/whoami", "{nonsense", content_type="application/json"))
