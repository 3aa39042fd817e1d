"""/healthz, /readyz, /metrics: what they check, what they return, who may read them."""

import time

import pytest
from django.db import OperationalError
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from oasst.site import health

LOCAL = {"HTTP_HOST": "localhost"}


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_migrations_applied", False)
    # As if this process had just started: the clock and its worker start after it.
    monkeypatch.setattr(health, "_started", time.monotonic())


def broken() -> str:
    raise ConnectionError("10.0.0.7 refuses the password hunter2")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
@pytest.mark.django_db
def test_only_reads_and_is_never_cached(client: Client, settings: Settings, path: str) -> None:
    assert client.post(path, **LOCAL).status_code == 405
    settings.METRICS_TOKEN = "s3cret"
    answer = client.get(path, HTTP_AUTHORIZATION="Bearer s3cret", **LOCAL)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]


def test_alive_touches_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """No database mark: a statement would fail this test."""
    monkeypatch.setattr(health, "_check_redis", broken)
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "alive"}


@pytest.mark.django_db
def test_ready_names_each_part(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "parts": {"database": {"ok": True}, "migrations": {"ok": True}, "redis": {"ok": True}, "clock": {"ok": True}},
    }


@pytest.mark.django_db
def test_green_answers_are_cheap(client: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    client.get("/readyz")
    with django_assert_num_queries(1):
        client.get("/readyz")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("part", "status", "code"),
    [
        ("database", "not ready", 503),
        ("migrations", "not ready", 503),
        ("redis", "degraded", 200),
        ("clock", "degraded", 200),
    ],
)
def test_missing_part(client: Client, monkeypatch: pytest.MonkeyPatch, part: str, status: str, code: int) -> None:
    monkeypatch.setattr(health, f"_check_{part}", broken)
    answer = client.get("/readyz")
    assert answer.status_code == code
    body = answer.json()
    assert body["status"] == status
    assert [name for name, state in body["parts"].items() if not state["ok"]] == [part]
    assert "hunter2" not in answer.content.decode()


@pytest.mark.django_db
def test_missing_migration_is_counted_and_not_remembered_as_fine(client: Client) -> None:
    from django.db.migrations.recorder import MigrationRecorder

    rows = MigrationRecorder.Migration.objects.filter(app="sessions")
    gone = list(rows)
    rows.delete()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["parts"]["migrations"]["problem"].startswith("1 migrations are not applied")
    MigrationRecorder.Migration.objects.bulk_create(gone)
    assert client.get("/readyz").status_code == 200


def test_redis_that_is_away_degrades(client: Client, db: None, settings: Settings) -> None:
    settings.REDIS_URL = "unix:///nowhere/redis.sock?db=0"
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")


@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer None"])
def test_metrics_without_a_token_are_for_nobody(client: Client, settings: Settings, given: str) -> None:
    """Not even from this machine, because requests through a plain proxy look the same."""
    settings.METRICS_TOKEN = ""
    answer = client.get("/metrics", HTTP_AUTHORIZATION=given, **LOCAL)
    assert (answer.status_code, b"# HELP" in answer.content) == (403, False)
    assert b"METRICS_TOKEN" in answer.content


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given", "code"), [("Bearer s3cret", 200), ("Bearer s3cre", 403), ("s3cret", 403), ("", 403), ("Bearer é", 403)]
)
def test_metrics_with_token_are_for_who_knows_it(client: Client, settings: Settings, given: str, code: int) -> None:
    settings.METRICS_TOKEN = "s3cret"
    answer = client.get("/metrics", HTTP_AUTHORIZATION=given, REMOTE_ADDR="10.0.0.9")
    assert answer.status_code == code
    assert client.get("/metrics", **LOCAL).status_code == 403


def test_metrics_without_a_database_tell_the_rest(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> str:
        raise OperationalError("away")

    monkeypatch.setattr(health, "job_metrics", away)
    settings.METRICS_TOKEN = "s3cret"
    answer = client.get("/metrics", HTTP_AUTHORIZATION="Bearer s3cret")
    assert answer.status_code == 200
    assert b"# HELP" in answer.content


@pytest.mark.django_db
def test_invented_methods_add_no_counters(client: Client, settings: Settings) -> None:
    settings.METRICS_TOKEN = "s3cret"
    for number in range(5):
        client.generic(f"BREW{number}", "/healthz")
    told = client.get("/metrics", HTTP_AUTHORIZATION="Bearer s3cret").text
    assert "BREW" not in told
