"""Environment variables for sign-in. Each test reads the settings in its own process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_SHOW = """
import json, oasst.settings as s
names = ["EMAIL_BACKEND", "EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD", "EMAIL_USE_TLS",
         "EMAIL_USE_SSL", "SENDS_MAIL", "DEFAULT_FROM_EMAIL", "ADMIN_EMAILS", "MODERATOR_EMAILS",
         "SOCIALACCOUNT_PROVIDERS", "BIND_ADDRESS"]
print(json.dumps({**{n: getattr(s, n) for n in names if hasattr(s, n)},
                  "providers": [a for a in s.INSTALLED_APPS if "providers" in a]}))
"""


def read(home: Path, **environment: str) -> dict[str, Any]:
    result = start(home, **environment)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def start(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV")}
    return subprocess.run(
        [sys.executable, "-c", _SHOW],
        env={**clean, "OASST_HOME": str(home), "SECRET_KEY": "x" * 50, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class TestMail:
    def test_none(self, tmp_path: Path) -> None:
        found = read(tmp_path)
        assert (found["EMAIL_BACKEND"], found["SENDS_MAIL"]) == ("oasst.accounts.mail.LogBackend", False)
        assert found["providers"] == []

    def test_starttls(self, tmp_path: Path) -> None:
        found = read(
            tmp_path, EMAIL_URL="smtp://us%40er:p%2Fw@mail.example:2525/?tls=1", PUBLIC_URL="https://oasst.example"
        )
        assert (found["EMAIL_HOST"], found["EMAIL_PORT"]) == ("mail.example", 2525)
        assert (found["EMAIL_HOST_USER"], found["EMAIL_HOST_PASSWORD"]) == ("us@er", "p/w")
        assert (found["EMAIL_USE_TLS"], found["EMAIL_USE_SSL"], found["SENDS_MAIL"]) == (True, False, True)
        assert found["DEFAULT_FROM_EMAIL"] == "oasst <noreply@oasst.example>"

    def test_implicit_tls(self, tmp_path: Path) -> None:
        found = read(tmp_path, EMAIL_URL="smtps://mail.example", EMAIL_FROM="team@example.org")
        assert (found["EMAIL_PORT"], found["EMAIL_USE_SSL"], found["EMAIL_USE_TLS"]) == (465, True, False)
        assert found["DEFAULT_FROM_EMAIL"] == "team@example.org"

    @pytest.mark.parametrize("url", ["mail.example", "imap://mail.example", "smtp://"])
    def test_nonsense_names_the_variable(self, tmp_path: Path, url: str) -> None:
        result = start(tmp_path, EMAIL_URL=url)
        assert result.returncode != 0
        assert "EMAIL_URL must look like" in result.stderr


class TestProviders:
    def test_only_those_that_are_configured(self, tmp_path: Path) -> None:
        found = read(tmp_path, GITHUB_CLIENT_ID="id", GITHUB_CLIENT_SECRET="secret")
        assert found["providers"] == ["allauth.socialaccount.providers.github"]
        assert found["SOCIALACCOUNT_PROVIDERS"]["github"]["APPS"] == [{"client_id": "id", "secret": "secret"}]

    def test_half_a_pair_is_a_mistake(self, tmp_path: Path) -> None:
        assert "belong together" in start(tmp_path, GOOGLE_CLIENT_ID="id").stderr


def test_lists_of_people(tmp_path: Path) -> None:
    found = read(tmp_path, ADMIN_EMAILS="Boss@Example.org, b@example.org", MODERATOR_EMAILS="")
    assert (found["ADMIN_EMAILS"], found["MODERATOR_EMAILS"]) == (["boss@example.org", "b@example.org"], [])


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "127.0.0.1"),
        ({"PUBLIC_URL": "http://oasst.example"}, "0.0.0.0"),
        ({"PUBLIC_URL": "https://oasst.example"}, "0.0.0.0"),
        ({"PUBLIC_URL": "https://oasst.example", "TRUSTED_PROXIES": "1"}, "127.0.0.1"),
        ({"PUBLIC_URL": "https://oasst.example", "TRUSTED_PROXIES": "1", "BIND_ADDRESS": "0.0.0.0"}, "0.0.0.0"),
    ],
)
def test_where_it_listens(tmp_path: Path, environment: dict[str, str], expected: str) -> None:
    """A client that bypasses the proxy can forge X-Forwarded-For."""
    assert read(tmp_path, **environment)["BIND_ADDRESS"] == expected
