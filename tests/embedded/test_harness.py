"""The test harness: tests run on real servers, each worker with its own databases."""

import subprocess
import sys
import threading

import pytest
import redis
from django.conf import settings
from django.core.cache import cache
from django.db import connection

from oasst.accounts.models import User


@pytest.mark.django_db
def test_database_is_postgresql_with_extensions() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extname FROM pg_extension")
        names = {name for (name,) in cursor.fetchall()}
    assert connection.vendor == "postgresql"
    assert {"vector", "pg_trgm"} <= names


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("_run", [1, 2])
def test_rows_and_threads_leave_nothing_behind(_run: int) -> None:
    """Run it twice: rows of the first run are gone, and connections of threads do not block emptying the database."""
    assert not User.objects.exists()

    def write() -> None:
        User.objects.create(display_name="thread")
        connection.close()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert User.objects.count() == 4


@pytest.mark.parametrize("_run", [1, 2])
def test_redis_is_emptied_between_tests(_run: int) -> None:
    assert cache.get("left over") is None
    cache.set("left over", 1)


def test_redis_database_is_not_the_one_of_the_site(redis_server: redis.Redis) -> None:
    assert redis_server.connection_pool.connection_kwargs["db"] != 0
    assert settings.CACHES["default"]["LOCATION"] == settings.REDIS_URL


def test_what_tests_start_can_be_ended_by_ctrl_c_also_when_they_run_in_the_background() -> None:
    """A script's `pytest &` ignores SIGINT, and its children would too."""
    child = "import signal; print(signal.getsignal(signal.SIGINT))"
    code = f"""
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
import tests.conftest
tests.conftest.pytest_configure()
subprocess.run([sys.executable, "-c", {child!r}], check=True)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=settings.BASE_DIR, capture_output=True, text=True)
    assert "default_int_handler" in done.stdout, done.stderr
