"""Homes with their own embedded servers, which are deleted after the test wherever their data is."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from oasst.embedded import directories, postgres, redis
from tests.paths import ROOT


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "home"
    yield path
    clean(path)


def clean(path: Path) -> None:
    if not (path / "postgres-password").exists():
        return
    dirs = directories.prepare_directories(path)
    postgres.stop(dirs)
    redis.stop(dirs)
    shutil.rmtree(dirs.data)
    shutil.rmtree(dirs.sockets)


@contextmanager
def connected(path: Path) -> Iterator[psycopg.Connection[Any]]:
    where = postgres.database_settings(path)
    with psycopg.connect(
        host=where["HOST"],
        port=where["PORT"],
        dbname=where["NAME"],
        user=where["USER"],
        password=where["PASSWORD"],
        autocommit=True,
    ) as connection:
        yield connection


def postmaster(path: Path) -> int:
    return int((path / "services/postgres/postmaster.pid").read_text().splitlines()[0])


def environment(path: Path, **more: str) -> dict[str, str]:
    """The environment of a process that runs as the site itself, not as a test."""
    ours = ("OASST_", "DJANGO_", "PYTEST_", "DATABASE_URL", "REDIS_URL", "PORT", "PUBLIC_URL", "DEBUG")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    # No model is fetched, because that takes minutes and half a gigabyte.
    return (
        kept
        | {"OASST_HOME": str(path), "PYTHONUNBUFFERED": "1", "OASST_CHAT_MODEL": "none", "OASST_EMBEDDINGS": "none"}
        | more
    )


def python(path: Path, code: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
