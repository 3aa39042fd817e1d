"""The key that programs already have, and the tokens that make new ones: known where nobody else can reach the site."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from oasst.accounts.models import ApiClient
from oasst.accounts.services import create_api_client
from oasst.management.first_run import create_what_is_missing

SHOW = "import json, oasst.settings as s; print(json.dumps([s.OFFICIAL_WEB_API_KEY, s.ROOT_TOKENS, s.UNCHOSEN_SECRET]))"


def read(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV")}
    return subprocess.run(
        [sys.executable, "-c", SHOW],
        env={**clean, "OASST_HOME": str(home), "SECRET_KEY": "x" * 50, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, ["1234", ["1234"], "1234"]),
        ({"PUBLIC_URL": "https://oasst.example"}, ["", [], "1234"]),
        ({"BIND_ADDRESS": "0.0.0.0"}, ["", [], "1234"]),
        ({"OFFICIAL_WEB_API_KEY": "old", "ROOT_TOKENS": '["a", "b"]'}, ["old", ["a", "b"], "1234"]),
        ({"BIND_ADDRESS": "0.0.0.0", "OFFICIAL_WEB_API_KEY": "1234"}, ["1234", [], ""]),
        ({"PUBLIC_URL": "https://oasst.example", "OFFICIAL_WEB_API_KEY": "old"}, ["old", [], "1234"]),
    ],
)
def test_where_they_are_known(tmp_path: Path, environment: dict[str, str], found: list[Any]) -> None:
    assert json.loads(read(tmp_path, **environment).stdout) == found


BEHIND_A_PROXY = {"X-Forwarded-For": "203.0.113.9"}
NEW_CLIENT = {"description": "mine", "frontend_type": "bot", "trusted": True}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("private", "chosen", "host", "headers", "opens"),
    [
        (True, False, "localhost", {}, True),
        (True, False, "localhost", BEHIND_A_PROXY, False),
        (True, False, "testserver", {}, False),
        (False, False, "localhost", {}, False),  # the site went public; the key of its first start is still stored
        (False, True, "testserver", BEHIND_A_PROXY, True),
    ],
)
def test_unless_it_was_chosen_it_is_for_this_machine(
    settings: Any, private: bool, chosen: bool, host: str, headers: dict[str, str], opens: bool
) -> None:
    create_api_client(name="website", trusted=True, key="1234")
    settings.ALLOWED_HOSTS, settings.ROOT_TOKENS = ["localhost", "testserver"], ["1234"]
    settings.IS_PRIVATE, settings.UNCHOSEN_SECRET = private, "" if chosen else "1234"
    http = Client(headers={"Host": host, **headers})
    by_key = http.get("/api/v1/stats/", headers={"X-API-Key": "1234"})
    by_token = http.post(
        "/api/v1/admin/api_client", NEW_CLIENT, "application/json", headers={"Authorization": "Bearer 1234"}
    )
    assert [by_key.status_code, by_token.status_code] == [200 if opens else 403] * 2
    assert ApiClient.objects.filter(name="mine").exists() is opens


@pytest.mark.parametrize("tokens", ["1234", "not json", '"a"', "[1]", '[""]'])
def test_tokens_that_are_none(tmp_path: Path, tokens: str) -> None:
    assert "ROOT_TOKENS must be a JSON list of strings" in read(tmp_path, ROOT_TOKENS=tokens).stderr


@pytest.mark.django_db
def test_the_start_makes_a_trusted_client_of_it(client: Client, settings: Any, tmp_path: Path) -> None:
    settings.OFFICIAL_WEB_API_KEY = "old-key"
    for _ in range(2):
        create_what_is_missing(email="admin@example.org", file=tmp_path / "first-run.txt")
    assert client.get("/api/v1/stats/", headers={"X-API-Key": "old-key"}).status_code == 200
    assert ApiClient.objects.filter(name="website").count() == 1
    assert "old-key" not in (tmp_path / "first-run.txt").read_text()
