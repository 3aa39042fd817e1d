"""Embedded PostgreSQL."""
from pathlib import Path
from typing import Any


def database_settings(home: Path) -> dict[str, Any]:
    """Where the embedded server of `home` listens, in the words of Django's DATABASES."""
    raise NotImplementedError
