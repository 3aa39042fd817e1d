"""Typed readers of the environment: what they accept, and that refusals name the variable."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings

from inference.policy import ChatPolicy
from oasst import env, web
from tests.embedded.homes import ROOT, environment


class TestIntegers:
    def test_it_works(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert env.integer("CHAT_QUEUE", 200, minimum=2, maximum=2000) == 200
        for given in (2, 2000):
            monkeypatch.setenv("CHAT_QUEUE", str(given))
            assert env.integer("CHAT_QUEUE", 200, minimum=2, maximum=2000) == given

    @pytest.mark.parametrize("wrong", ["1", "2001", "-3", "2.5", "many", "9" * 20, "9" * 5000])
    def test_what_is_none_or_out_of_bounds(self, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
        """Python refuses to read 5,000 digits."""
        monkeypatch.setenv("CHAT_QUEUE", wrong)
        bounds = r"^CHAT_QUEUE must be a whole number from 2 to 2000, not '"
        with pytest.raises(env.BadVariable, match=bounds):
            env.integer("CHAT_QUEUE", 200, minimum=2, maximum=2000)
        if wrong != "2001":
            with pytest.raises(env.BadVariable, match=r"^CHAT_QUEUE must be a whole number of at least 2, not '"):
                env.integer("CHAT_QUEUE", 200, minimum=2)

    def test_what_no_site_could_bear_refuses_the_start(self, tmp_path: Path) -> None:
        """Each look at a position reads the whole queue, so it has a limit; 10**15 seconds exceed the calendar."""
        most = {"CHAT_QUEUE": 2_000, "CHAT_QUEUE_SECONDS": 86_400, "CHAT_ANSWER_SECONDS": 86_400, "PORT": 65_535}

        def read(**given: int) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                [sys.executable, "-c", "import oasst.settings"],
                cwd=ROOT,
                env=environment(tmp_path, **{name: str(value) for name, value in given.items()}),
                capture_output=True,
                text=True,
                timeout=60,
            )

        assert read(**most).returncode == 0
        for name, largest in most.items():
            refused = read(**{**most, name: largest + 1})
            assert refused.returncode != 0
            assert f"{name} must be a whole number from " in refused.stderr
            assert f" to {largest}, not '{largest + 1}'" in refused.stderr


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


class TestOverrides:
    def test_it_works(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("TREE_POLICY", raising=False)
        assert env.overrides("TREE_POLICY") == {}
        monkeypatch.setenv("TREE_POLICY", '{"check_share": 0.02, "num_reviews_reply": 2}')
        assert env.overrides("TREE_POLICY") == {"check_share": 0.02, "num_reviews_reply": 2}

    @pytest.mark.parametrize("wrong", ["check_share=0.02", "[1]", "{", "2"])
    def test_mistakes(self, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
        monkeypatch.setenv("TREE_POLICY", wrong)
        with pytest.raises(env.BadVariable, match=r"^TREE_POLICY must be a JSON object"):
            env.overrides("TREE_POLICY")


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
    assert web.BoundedRequest.may_continue(request) is waits  # type: ignore[arg-type]
