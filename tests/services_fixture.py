"""PostgreSQL and Redis for a test run, started and stopped as the site does it, in a home of the tests' own."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings

from oasst.embedded.errors import ServiceError
from oasst.embedded.servers import EmbeddedServers

_servers = pytest.StashKey[EmbeddedServers]()
_alone = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    if config.option.help or config.option.collectonly:
        return
    home: Path = settings.OASST_HOME
    # The directory of collected static files may be empty, but whitenoise warns if it is missing.
    (home / "static").mkdir(parents=True, exist_ok=True)
    if "PYTEST_XDIST_WORKER" not in os.environ:
        config.stash[_alone] = _only_run_in(home)
    try:
        config.stash[_servers] = EmbeddedServers(home).__enter__()
    except ServiceError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_unconfigure(config: pytest.Config) -> None:
    if servers := config.stash.get(_servers, None):
        servers.__exit__(None, None, None)


def _only_run_in(home: Path) -> int:
    """Two concurrent runs would drop each other's test database."""
    lock = os.open(home / "tests.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise pytest.UsageError(f"Another test run uses {home}. Wait for it, or set OASST_HOME.") from None
    return lock


@pytest.fixture(scope="session")
def redis_server() -> Iterator["redis.Redis"]:
    """Return the Redis database of this worker."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        yield client


@pytest.fixture(autouse=True)
def _empty_redis(redis_server: "redis.Redis") -> Iterator[None]:
    yield
    redis_server.flushdb()
