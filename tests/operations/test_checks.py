"""Each wrong configuration is reported once, with an id and a hint; a correct one reports nothing."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.core.checks import CheckMessage
from django.core.management import get_commands, load_command_class
from pytest_django import Settings

from oasst import checks
from oasst.core.server_urls import Bucket
from oasst.embedded import postgres
from tests.embedded.homes import ROOT, environment
from trees.policy_checks import check_tree_policy

LONG = "k" * 32


@pytest.fixture
def public(settings: Settings) -> Settings:
    settings.PUBLIC_URL = "https://oasst.example.org"
    settings.IS_LOCAL = False
    settings.DEBUG = False
    settings.SENDS_MAIL = True
    settings.TRUSTED_PROXIES = 1
    settings.BIND_ADDRESS = "127.0.0.1"
    settings.SECRET_KEY = LONG
    settings.OFFICIAL_WEB_API_KEY = settings.METRICS_TOKEN = settings.AUTH_SECRET = LONG
    settings.ROOT_TOKENS = [LONG]
    settings.EMAIL_HOST, settings.EMAIL_HOST_USER = "mail.example.org", "user"
    settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL = True, False
    return settings


def ids(messages: list[CheckMessage]) -> list[str]:
    assert all(message.hint for message in messages)
    return [str(message.id) for message in messages]


def test_default_configuration_is_silent(settings: Settings) -> None:
    assert checks.check_public_address(None) == []
    assert checks.check_connections(None, databases=["default"]) == []


def test_public_configuration_is_silent(public: Settings) -> None:
    assert checks.check_public_address(None) == []
    assert checks.check_secrets(None) == []


def test_a_limit_that_there_is_not_is_named(settings: Settings) -> None:
    settings.LIMITS = {"chat_turn": "1 per day", "chat_turns": "2 per day", "nonsense": "3 per day"}
    near, far = checks.check_limits(None)
    assert ids([near, far]) == ["oasst.E020"] * 2
    assert "'chat_turns'" in near.msg and "Did you mean chat_turn?" in str(near.hint)
    assert "'nonsense'" in far.msg and "operations.md" in str(far.hint)
    settings.LIMITS = {"chat_turn": "1 per day"}
    assert checks.check_limits(None) == []


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"check_shares": 0.02}, "'check_shares'"),
        ({"check_share": 0.5}, "check_share must be"),
        ({"goal_tree_size": "many"}, "TREE_POLICY: "),
    ],
)
def test_rules_of_trees_that_there_are_not(settings: Settings, overrides: dict[str, object], said: str) -> None:
    settings.TREE_POLICY = overrides
    (problem,) = check_tree_policy(None)
    assert problem.id == "trees.E001" and said in problem.msg and "policy.py" in str(problem.hint)
    settings.TREE_POLICY = {"check_share": 0.02, "goal_tree_size": 20}
    assert check_tree_policy(None) == []


def test_one_half_of_the_key_of_a_bucket(settings: Settings) -> None:
    assert checks.check_snapshot_storage(None) == []
    settings.AWS_ACCESS_KEY_ID, settings.AWS_SECRET_ACCESS_KEY = "AKIA", ""
    assert ids(checks.check_snapshot_storage(None)) == ["oasst.E021"]
    settings.AWS_SECRET_ACCESS_KEY = "secret"
    assert checks.check_snapshot_storage(None) == []


@pytest.mark.parametrize(
    ("bucket", "expected"),
    [
        (Bucket("data"), []),
        (Bucket("data", endpoint="https://s3.example.org"), []),
        (Bucket("data", endpoint="http://minio:9000"), ["oasst.W004"]),
        (Bucket("data", endpoint="https://localhost:9000"), ["oasst.W004"]),
        (Bucket("data", endpoint="http://minio:9000", public_endpoint="https://files.example.org"), []),
    ],
)
def test_a_bucket_that_others_cannot_reach(public: Settings, bucket: Bucket, expected: list[str]) -> None:
    public.SNAPSHOT_BUCKET = bucket
    assert ids(checks.check_snapshot_storage(None)) == expected
    public.IS_LOCAL = True
    assert checks.check_snapshot_storage(None) == []


SHORT = "hunter2" * 4
WEAK = {
    "OFFICIAL_WEB_API_KEY": ("1234", "oasst.E010"),
    "METRICS_TOKEN": (SHORT, "oasst.E010"),
    "AUTH_SECRET": (SHORT, "oasst.E010"),
    "ROOT_TOKENS": ([LONG, SHORT], "oasst.E010"),
    "SECRET_KEY": (SHORT, "oasst.E011"),
    "SECRET_KEY_FALLBACKS": ([LONG, SHORT], "oasst.E011"),
    "TRUSTED_PROXIES": (0, "oasst.E012"),
    "EMAIL_USE_TLS": (False, "oasst.E013"),
}


@pytest.mark.parametrize("name", WEAK)
def test_weak_values_are_refused_where_others_reach_the_site(public: Settings, name: str) -> None:
    value, expected = WEAK[name]
    setattr(public, name, value)
    found = checks.check_secrets(None)
    assert ids(found) == [expected]
    (error,) = found
    assert error.is_serious()
    assert name.replace("EMAIL_USE_TLS", "EMAIL_URL") in error.msg
    assert SHORT not in f"{error.msg} {error.hint}"


@pytest.mark.parametrize("name", WEAK)
def test_weak_values_at_home_are_fine(public: Settings, name: str) -> None:
    public.PUBLIC_URL, public.IS_LOCAL = "http://localhost:8000", True
    setattr(public, name, WEAK[name][0])
    assert checks.check_secrets(None) == []


def test_what_is_not_set_is_not_weak(public: Settings) -> None:
    public.OFFICIAL_WEB_API_KEY = public.METRICS_TOKEN = public.AUTH_SECRET = ""
    public.ROOT_TOKENS = []
    assert checks.check_secrets(None) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("EMAIL_USE_SSL", True), ("EMAIL_HOST", "127.0.0.1"), ("EMAIL_HOST_USER", ""), ("SENDS_MAIL", False)],
)
def test_mail_that_nobody_can_read_on_the_way(public: Settings, name: str, value: object) -> None:
    """Encrypted, on this machine, without a password, or no broker at all."""
    public.EMAIL_USE_TLS = False
    setattr(public, name, value)
    assert checks.check_secrets(None) == []


def test_without_https_no_proxy_is_expected(public: Settings) -> None:
    public.PUBLIC_URL, public.TRUSTED_PROXIES = "http://oasst.example.org", 0
    assert checks.check_secrets(None) == []


@pytest.mark.parametrize("command", ["up", "serve", "run_engine", "run_trainer"])
def test_commands_that_start_something_check_first(command: str) -> None:
    assert load_command_class(get_commands()[command], command).requires_system_checks == "__all__"


@pytest.mark.parametrize(
    "command",
    [
        ["manage.py", "serve"],
        ["-m", "celery", "--app", "oasst", "worker", "--pool", "threads"],
        ["-m", "celery", "--app", "oasst", "beat"],
    ],
    ids=["serve", "worker", "beat"],
)
def test_the_start_is_refused(tmp_path: Path, command: list[str]) -> None:
    """Each process that can be started alone."""
    variables = {
        "PUBLIC_URL": "https://oasst.example.org",
        "OFFICIAL_WEB_API_KEY": "hunter2",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/oasst",
        "REDIS_URL": "redis://127.0.0.1:1",
    }
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment(tmp_path, **variables),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "oasst.E010" in done.stderr and "oasst.E012" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


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


@pytest.mark.parametrize(
    ("address", "proxies", "expected"),
    [
        ("0.0.0.0", 1, ["oasst.W003"]),
        ("192.0.2.1", 2, ["oasst.W003"]),
        ("::", 1, ["oasst.W003"]),
        ("::1", 1, []),
        ("0.0.0.0", 0, []),
    ],
)
def test_a_port_that_is_reached_around_the_proxy(
    public: Settings, address: str, proxies: int, expected: list[str]
) -> None:
    public.BIND_ADDRESS, public.TRUSTED_PROXIES = address, proxies
    assert ids(checks.check_public_address(None)) == expected


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


@pytest.mark.django_db
def test_pgvector_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@db.example.org/oasst")
    assert checks.check_vectors(None, databases=["default"]) == [], "the embedded server has it"
    assert checks.check_vectors(None) == [], "only commands that ask for it reach the database"
    for available, installed, hint in [
        (None, None, "Install its package"),
        ((0, 7), None, "Install its package"),
        ((0, 8), (0, 7, 4), "ALTER EXTENSION"),
    ]:
        monkeypatch.setattr(checks, "_vector_versions", lambda versions=(available, installed): versions)
        (error,) = checks.check_vectors(None, databases=["default"])
        assert error.id == "oasst.E030" and error.hint is not None and hint in error.hint
    monkeypatch.setattr(checks, "_vector_versions", lambda: ((0, 9), None))
    assert checks.check_vectors(None, databases=["default"]) == []


def test_a_remote_engine_needs_an_address(settings: Settings) -> None:
    settings.OASST_ENGINE = "remote"
    assert ids(checks.check_engine(None)) == ["oasst.E005"]
    settings.ENGINE_URL = "http://127.0.0.1:8001/v1"
    assert checks.check_engine(None) == []


def test_a_classifier_that_is_not_there(settings: Settings, tmp_path: Path) -> None:
    settings.TOXICITY_URL, settings.OASST_TOXICITY_MODEL = "tox:8080", str(tmp_path)
    assert ids(checks.check_scoring(None)) == ["oasst.E007", "oasst.E008"]
    (tmp_path / "config.json").write_text("{}")
    settings.TOXICITY_URL = "http://tox:8080/"
    assert ids(checks.check_scoring(None)) == []
