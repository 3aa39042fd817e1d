"""What a process needs before it trains, and how it leaves the machine to the site."""

import hashlib
import os
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

_PACKAGES = ("torch", "transformers", "accelerate", "peft", "trl", "datasets", "pydantic", "yaml")
"""As they are imported."""
NICE = 10
"""How much a process that trains steps back behind those that answer people."""


def missing_packages() -> list[str]:
    """Return the packages that trainings need and this installation lacks."""
    return [name for name in _PACKAGES if find_spec(name) is None]


def missing_in_words() -> str:
    """Return a sentence about what is missing; empty if nothing is."""
    missing = missing_packages()
    if not missing:
        return ""
    return (
        f"Training needs {', '.join(missing)}, which this installation lacks: `scripts/train` installs what it needs."
    )


def step_back() -> None:
    """Let every other process go first from now on."""
    os.nice(NICE)


@cache
def code_version() -> str:
    """Return what computes trainings here: a digest of our code, and the versions of the packages that matter."""
    package = Path(__file__).parents[1]
    files = [*sorted((package / "training").glob("*.py")), package / "engine" / "chat_template.py"]
    digest = hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files))
    return " ".join([digest.hexdigest()[:12], *filter(None, map(_named, ("torch", "transformers")))])


def _named(package: str) -> str:
    try:
        return f"{package}-{version(package).partition('+')[0]}"
    except PackageNotFoundError:
        return ""
