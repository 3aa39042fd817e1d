"""1234 works only if it is switched on, and then only on one machine."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from oasst.accounts.api_clients import create_api_client
from oasst.accounts.models import ApiClient, ApiKey
from oasst.site.management.first_run import create_missing, welcome_lines
from tests.paths import ROOT

SHOW = "import json, oasst.settings as s; print(json.dumps([s.OFFICIAL_WEB_API_KEY, s.ROOT_TOKENS]))"
NEW_CLIENT = {"description": "mine", "frontend_type": "bot", "trusted": True}


def environment(home: Path, **variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV")}
    return {**kept, "OASST_HOME": str(home), "SECRET_KEY": "x" * 50, **variables}


def read(home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SHOW],
        env=environment(home, **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, ["", []]),
        ({"OFFICIAL_WEB_API_KEY": "1234", "ROOT_TOKENS": '["1234"]'}, ["1234", ["1234"]]),
        ({"OFFICIAL_WEB_API_KEY": "old", "ROOT_TOKENS": '["a", "b"]'}, ["old", ["a", "b"]]),
    ],
)
def test_unset_means_none(tmp_path: Path, variables: dict[str, str], found: list[Any]) -> None:
    assert json.loads(read(tmp_path, **variables).stdout) == found


def ask(**headers: str) -> list[Any]:
    """Try an operation of trusted clients with the key, and creating a client with the root token."""
    http = Client(headers={"Host": "localhost", **headers})
    by_key = http.get("/api/v1/admin/backend_settings/full", headers={"X-API-Key": "1234"})
    by_token = http.post(
        "/api/v1/admin/api_client", NEW_CLIENT, "application/json", headers={"Authorization": "Bearer 1234"}
    )
    return [by_key, by_token]


@pytest.fixture
def _stored(db: None) -> None:
    """A stored key, as older releases created it."""
    create_api_client(name="website", trusted=True, key="1234")


def switch_on(settings: Any) -> None:
    settings.OFFICIAL_WEB_API_KEY, settings.ROOT_TOKENS = "1234", ["1234"]


@pytest.mark.usefixtures("_stored")
class TestWhoComesIn:
    def test_nobody_untold(self) -> None:
        by_key, by_token = ask()
        assert (by_key.status_code, by_key.json()["error_code"]) == (403, 2)
        assert by_token.status_code == 403
        for answer, variable in ((by_key, "OFFICIAL_WEB_API_KEY"), (by_token, "ROOT_TOKENS")):
            assert variable in answer.json()["message"] and "create_api_client" in answer.json()["message"]
        assert not ApiClient.objects.filter(name="mine").exists()

    def test_whoever_is_here_once_it_is_switched_on(self, settings: Any) -> None:
        switch_on(settings)
        assert [answer.status_code for answer in ask()] == [200, 200]

    @pytest.mark.parametrize(
        "headers",
        [{"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}, {"X-Real-IP": "::1"}, {"Via": "1.1 a"}],
    )
    def test_nobody_through_a_proxy(self, settings: Any, headers: dict[str, str]) -> None:
        switch_on(settings)
        assert [answer.status_code for answer in ask(**headers)] == [403, 403]

    @pytest.mark.parametrize(("is_local", "address"), [(False, "127.0.0.1"), (True, "0.0.0.0")])
    def test_nobody_where_others_reach_the_site(self, settings: Any, is_local: bool, address: str) -> None:
        """The start refuses this, and a server that was started without checks refuses each request."""
        switch_on(settings)
        settings.IS_LOCAL, settings.BIND_ADDRESS = is_local, address
        assert [answer.status_code for answer in ask()] == [403, 403]

    def test_one_does_not_switch_on_the_other(self, settings: Any) -> None:
        settings.OFFICIAL_WEB_API_KEY = "1234"
        assert [answer.status_code for answer in ask()] == [200, 403]
        settings.OFFICIAL_WEB_API_KEY, settings.ROOT_TOKENS = "", ["1234"]
        assert [answer.status_code for answer in ask()] == [403, 200]


@pytest.mark.parametrize("tokens", ["1234", "not json", '"a"', "[1]", '[""]'])
def test_tokens_that_are_none(tmp_path: Path, tokens: str) -> None:
    assert "ROOT_TOKENS must be a JSON list of strings" in read(tmp_path, ROOT_TOKENS=tokens).stderr


def start(path: Path) -> None:
    create_missing(email="admin@example.org", file=path / "first-run.txt")


@pytest.mark.django_db
class TestWhatTheStartSays:
    """Secrets are printed only on a terminal, because any other output is kept as a log."""

    def output(self, path: Path, *, terminal: bool) -> str:
        first = create_missing(email="admin@example.org", file=path / "first-run.txt")
        return "\n".join(welcome_lines(first, terminal=terminal))

    def test_on_a_terminal(self, settings: Any, tmp_path: Path) -> None:
        first = self.output(tmp_path, terminal=True)
        assert "/accounts/link/?key=" in first and "Password:" in first and "API key:" in first
        settings.SENDS_MAIL = False
        again = self.output(tmp_path, terminal=True)
        assert "/accounts/link/?key=" in again and "Password" not in again

    def test_where_codes_come_by_mail(self, settings: Any, tmp_path: Path) -> None:
        settings.SENDS_MAIL = True
        self.output(tmp_path, terminal=True)
        assert self.output(tmp_path, terminal=True) == f"oasst is ready: {settings.PUBLIC_URL}"

    def test_in_a_log(self, tmp_path: Path) -> None:
        output = self.output(tmp_path, terminal=False)
        assert "sign_in_link admin@example.org" in output and "create_api_client" in output
        secrets = [line.split()[-1] for line in (tmp_path / "first-run.txt").read_text().splitlines()]
        assert len(secrets) == 3 and not any(secret in output for secret in secrets[1:])
        assert "/accounts/link/" not in output


@pytest.mark.django_db
class TestTheStart:
    def test_makes_a_trusted_client_of_a_chosen_key(self, client: Client, settings: Any, tmp_path: Path) -> None:
        settings.OFFICIAL_WEB_API_KEY = "old-key"
        for _ in range(2):
            start(tmp_path)
        assert client.get("/api/v1/stats/", headers={"X-API-Key": "old-key"}).status_code == 200
        assert ApiClient.objects.filter(name="website").count() == 1
        assert "old-key" not in (tmp_path / "first-run.txt").read_text()

    @pytest.mark.usefixtures("_stored")
    def test_ends_a_known_key_of_an_earlier_start(self, settings: Any, tmp_path: Path) -> None:
        known = ApiKey.objects.get()
        start(tmp_path)
        known.refresh_from_db()
        assert known.expires_at is not None
        switch_on(settings)
        start(tmp_path)
        known.refresh_from_db()
        assert known.expires_at is None
        assert ask()[0].status_code == 200, "and lets it in again when told"

    @pytest.mark.parametrize("command", ["up", "serve"])
    def test_refuses_it_on_a_public_site(self, tmp_path: Path, command: str) -> None:
        nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"}
        done = subprocess.run(
            [sys.executable, "manage.py", command],
            env=environment(tmp_path, PUBLIC_URL="https://oasst.example", OFFICIAL_WEB_API_KEY="1234", **nowhere),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert "oasst.E006" in done.stderr and "HINT: Unset OFFICIAL_WEB_API_KEY" in done.stderr
