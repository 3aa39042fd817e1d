"""What a process needs before it trains, and how it leaves the machine to the site."""

import os
from importlib.util import find_spec

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
