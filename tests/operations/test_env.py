"""Typed readers of the environment: what they take, and that what they refuse is named."""

from dataclasses import asdict
from types import SimpleNamespace

import pytest
from django.conf import settings

from inference.policy import ChatPolicy
from oasst import env, web


class TestRates:
    def test_it_works(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert env.rates("LIMITS") == {}
        monkeypatch.setenv("LIMITS", " task = 60 per 4 minutes, chat_turn=40/10minutes; 400 per day,")
        assert env.rates("LIMITS") == {"task": "60 per 4 minutes", "chat_turn": "40/10minutes; 400 per day"}

    @pytest.mark.parametrize(
        "wrong",
        [
            "60 per minute",
            "task=",
            "task=many",
            "=1 per day",
            "task=0 per day",
            "task=1 per day, task=2 per day",
            "a=1;b=2",
        ],
    )
    def test_what_cannot_be_read(self, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
        monkeypatch.setenv("LIMITS", wrong)
        with pytest.raises(env.BadVariable, match=r"^LIMITS must be a list such as"):
            env.rates("LIMITS")


class TestOrigins:
    def test_it_works(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CORS_ORIGINS", "https://A.example.org, http://127.0.0.1:3000,app://obsidian.md, *")
        found = ["https://a.example.org", "http://127.0.0.1:3000", "app://obsidian.md", "*"]
        assert env.origins("CORS_ORIGINS") == found

    @pytest.mark.parametrize(
        "wrong", ["https://a.example.org/", "a.example.org", "https://a.example.org/chat", "null", "https://*", "//a"]
    )
    def test_what_no_browser_sends(self, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
        monkeypatch.setenv("CORS_ORIGINS", f"https://good.example.org,{wrong}")
        with pytest.raises(env.BadVariable, match=r"^CORS_ORIGINS: .* is no origin"):
            env.origins("CORS_ORIGINS")


def test_the_chat_is_as_its_policy_says_unless_the_environment_says_otherwise() -> None:
    assert settings.CHAT_POLICY.items() <= asdict(ChatPolicy()).items()


@pytest.mark.parametrize(
    ("path", "waits"), [("/v1/chat/completions", True), ("/v1/chat/completions/", True), ("/v1/models", False)]
)
def test_which_requests_may_wait_for_the_model(path: str, waits: bool) -> None:
    request = SimpleNamespace(_response_started=False, path=path.encode())
    assert web._is_under_way(request) is waits  # type: ignore[arg-type]
