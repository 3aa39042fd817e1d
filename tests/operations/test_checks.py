"""Each wrong configuration is reported once, with an id and a hint; a right one is silent."""

import pytest
from django.core.checks import CheckMessage
from pytest_django import Settings

from oasst import checks
from oasst.services import postgres


@pytest.fixture
def public(settings: Settings) -> Settings:
    settings.PUBLIC_URL = "https://oasst.example.org"
    settings.IS_LOCAL = False
    settings.DEBUG = False
    settings.SENDS_MAIL = True
    return settings


def ids(messages: list[CheckMessage]) -> list[str]:
    assert all(message.hint for message in messages)
    return [str(message.id) for message in messages]


def test_default_configuration_is_silent(settings: Settings) -> None:
    assert checks.check_public_address(None) == []
    assert checks.check_connections(None, databases=["default"]) == []


def test_public_configuration_is_silent(public: Settings) -> None:
    assert checks.check_public_address(None) == []


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("oasst.example.org", ["oasst.E001"]),
        ("ftp://oasst.example.org", ["oasst.E001"]),
        ("https://", ["oasst.E001"]),
        ("https://oasst.example.org/app", ["oasst.E002"]),
        ("https://oasst.example.org?a=b", ["oasst.E002"]),
        ("http://oasst.example.org", ["oasst.W001"]),
        ("https://oasst.example.org:8443", []),
    ],
)
def test_address(public: Settings, address: str, expected: list[str]) -> None:
    public.PUBLIC_URL = address
    assert ids(checks.check_public_address(None)) == expected


def test_debug_in_public(public: Settings) -> None:
    public.DEBUG = True
    assert ids(checks.check_public_address(None)) == ["oasst.E003"]


def test_debug_at_home_is_fine(settings: Settings) -> None:
    settings.DEBUG = True
    assert checks.check_public_address(None) == []


def test_no_mail_in_public(public: Settings) -> None:
    public.SENDS_MAIL = False
    assert ids(checks.check_public_address(None)) == ["oasst.W002"]


@pytest.mark.parametrize(("address", "is_local"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_the_secret_that_everybody_knows(settings: Settings, address: str, is_local: bool) -> None:
    assert ids(checks.check_known_secret(None)) == []
    settings.OFFICIAL_WEB_API_KEY, settings.ROOT_TOKENS = "1234", ["a-long-secret", "1234"]
    assert ids(checks.check_known_secret(None)) == [], "for trials on one machine"
    settings.BIND_ADDRESS, settings.IS_LOCAL = address, is_local
    found = checks.check_known_secret(None)
    assert ids(found) == ["oasst.E006", "oasst.E006"]
    assert [message.msg.split()[0] for message in found] == ["OFFICIAL_WEB_API_KEY", "ROOT_TOKENS"]
    settings.OFFICIAL_WEB_API_KEY, settings.ROOT_TOKENS = "chosen", ["a-long-secret"]
    assert ids(checks.check_known_secret(None)) == []


def test_too_many_connections(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    pool = settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"]
    fits = (postgres.MAX_CONNECTIONS - checks.RESERVED_CONNECTIONS - 3) // pool
    settings.WORKER_THREADS = 2
    settings.WEB_PROCESSES = fits
    assert checks.check_connections(None, databases=["default"]) == []
    settings.WEB_PROCESSES = fits + 1
    assert ids(checks.check_connections(None, databases=["default"])) == ["oasst.E004"]
    assert checks.check_connections(None) == [], "only commands that ask for it reach the database"


@pytest.mark.django_db
def test_limit_of_a_server_of_ones_own_is_asked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@db.example.org/oasst")
    assert checks._max_connections() == postgres.MAX_CONNECTIONS


def test_a_remote_engine_needs_an_address(settings: Settings) -> None:
    settings.OASST_ENGINE = "remote"
    assert ids(checks.check_engine(None)) == ["oasst.E005"]
    settings.ENGINE_URL = "http://127.0.0.1:8001/v1"
    assert checks.check_engine(None) == []
