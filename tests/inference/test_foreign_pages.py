"""Pages of other sites that may chat (CHAT_CORS_ORIGINS). tests/browser/test_foreign_pages.py has a real one."""

from typing import Any

import pytest
from django.test import Client

from oasst.accounts.models import User
from oasst.accounts.tokens import new_token
from oasst.core import ratelimit

FRIEND, STRANGER = "https://chat.example.org", "https://elsewhere.example.org"
# The headers of OpenAI's JavaScript library in a browser.
OF_THE_LIBRARY = (
    "authorization,content-type,x-stainless-arch,x-stainless-lang,x-stainless-os,x-stainless-package-version,"
    "x-stainless-retry-count,x-stainless-runtime,x-stainless-runtime-version,x-stainless-timeout,openai-organization"
)
PATHS = ["/v1/chat/completions", "/v1/models", "/v1/nothing", "/inference/chats", "/inference/nothing"]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _friends(settings: Any) -> None:
    settings.CHAT_CORS_ORIGINS = [FRIEND]


def ask(origin: str, path: str, method: str = "POST", headers: str = OF_THE_LIBRARY) -> Any:
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return Client().options(path, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site", **asked})


def is_open(response: Any) -> bool:
    assert "Access-Control-Allow-Credentials" not in response
    return "Access-Control-Allow-Origin" in response


class TestAsking:
    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
    def test_a_friend(self, path: str, method: str) -> None:
        told = ask(FRIEND, path, method)
        assert (told.status_code, told["Access-Control-Allow-Origin"]) == (204, FRIEND)
        assert method in told["Access-Control-Allow-Methods"].split(", ")
        assert told["Access-Control-Allow-Headers"].split(", ") == OF_THE_LIBRARY.split(",")
        assert "Origin" in told["Vary"] and int(told["Access-Control-Max-Age"]) > 0
        assert is_open(told)

    @pytest.mark.parametrize("origin", [STRANGER, "null", FRIEND + ".evil.example", FRIEND.replace("https", "http")])
    @pytest.mark.parametrize("path", PATHS)
    def test_a_stranger(self, path: str, origin: str) -> None:
        told = ask(origin, path)
        assert told.status_code in (404, 405) and not is_open(told)

    def test_keys_of_programs_are_no_business_of_pages(self) -> None:
        told = ask(FRIEND, "/inference/chats", headers="authorization,trustedclient,x-api-key,cookie")
        assert told["Access-Control-Allow-Headers"] == "authorization"

    @pytest.mark.parametrize("method", ["TRACE", "PROPFIND", ""])
    def test_other_methods(self, method: str) -> None:
        assert ask(FRIEND, "/v1/models", method).status_code == 405

    @pytest.mark.parametrize("path", ["/api/v1/users/cursor", "/chat/", "/accounts/login/", "/v10/models", "/metrics"])
    def test_the_rest_of_the_site(self, path: str) -> None:
        assert not is_open(ask(FRIEND, path, "GET"))
        assert not is_open(Client().get(path, headers={"Origin": FRIEND}))

    def test_the_data_set_has_its_own_list(self, settings: Any) -> None:
        settings.CORS_ORIGINS, settings.CHAT_CORS_ORIGINS = [FRIEND], []
        assert is_open(ask(FRIEND, "/api/v1/users/cursor", "GET"))
        for path in ("/v1/models", "/inference/chats", "/inference/openapi.json", "/v1/openapi.json"):
            assert not is_open(ask(FRIEND, path, "GET")), path
            assert not is_open(Client().get(path, headers={"Origin": FRIEND})), path

    def test_all_of_them(self, settings: Any) -> None:
        settings.CHAT_CORS_ORIGINS = ["*"]
        for origin in (FRIEND, STRANGER, "null"):
            assert ask(origin, "/v1/models", "GET")["Access-Control-Allow-Origin"] == origin
        assert not is_open(Client().get("/v1/models"))


class TestAnswers:
    def get(self, path: str, token: str, origin: str = FRIEND) -> Any:
        headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site", "Authorization": f"Bearer {token}"}
        return Client(headers=headers).get(path)

    def test_a_page_sees_refusals_and_how_long_to_wait(self, alice: User, settings: Any) -> None:
        settings.OASST_CHAT_MODEL = "tiny"
        token = new_token(alice)[1]
        settings.LIMITS = {"chat_turn_program": "1 per hour", "chat_new_program": "1 per hour"}
        ratelimit.count_use(ratelimit.CHAT_TURNS_OF_CLIENTS, alice.pk)
        ratelimit.count_use(ratelimit.NEW_CHATS_OF_CLIENTS, alice.pk)
        client = Client(headers={"Origin": FRIEND, "Authorization": f"Bearer {token}"})
        body = {"messages": [{"role": "user", "content": "Hi"}]}
        answers = {
            "a list": (self.get("/v1/models", token), 200),
            "chats": (self.get("/inference/chats", token), 200),
            "a wrong token": (self.get("/v1/models", "wrong"), 401),
            "a wrong token there": (self.get("/inference/chats", "wrong"), 401),
            "nothing there": (self.get("/v1/nothing", token), 404),
            "a wrong method": (self.get("/v1/chat/completions", token), 405),
            "a bad body": (client.post("/v1/chat/completions", "{", content_type="application/json"), 400),
            "too often": (client.post("/v1/chat/completions", body, content_type="application/json"), 429),
            "too often there": (client.post("/inference/chats", {}, content_type="application/json"), 429),
        }
        for what, (answer, status) in answers.items():
            assert answer.status_code == status, (what, answer.content)
            assert answer["Access-Control-Allow-Origin"] == FRIEND, what
            assert {"Retry-After", "X-Ignored-Parameters"} <= set(answer["Access-Control-Expose-Headers"].split(", "))
            assert "Origin" in answer["Vary"] and is_open(answer), what

    def test_also_a_crash(self, monkeypatch: pytest.MonkeyPatch, alice: User) -> None:
        def crash(user: User) -> None:
            raise RuntimeError("of the test")

        monkeypatch.setattr("inference.api.openai.offer.models_for", crash)
        client = Client(raise_request_exception=False, headers={"Origin": FRIEND})
        answer: Any = client.get("/v1/models", headers={"Authorization": f"Bearer {new_token(alice)[1]}"})
        assert answer.status_code == 500 and answer["Access-Control-Allow-Origin"] == FRIEND

    def test_strangers_see_nothing_and_caches_know_why(self) -> None:
        answer = self.get("/v1/models", "wrong", STRANGER)
        assert answer.status_code == 401 and not is_open(answer) and "Origin" in answer["Vary"]

    def test_a_cookie_opens_nothing(self, alice: User) -> None:
        signed_in = Client(headers={"Origin": FRIEND})
        signed_in.force_login(alice)
        assert signed_in.get("/v1/models").status_code == 401
        assert signed_in.get("/inference/chats").status_code in (401, 403)
