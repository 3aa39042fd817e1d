"""Typed readers of environment variables.

Each variable NAME may also be given as NAME_FILE, a path whose content is the value (Docker and Kubernetes secrets).
A value that can not be read names the variable, because the person who reads the error is starting the site.
"""

import os
from pathlib import Path


class BadVariable(Exception):
    """An environment variable holds something that its reader can not use."""


def text(name: str, default: str = "") -> str:
    """The value of NAME, else the content of the file that NAME_FILE names, else the default."""
    value = os.environ.get(name)
    if value is not None:
        return value
    path = os.environ.get(f"{name}_FILE")
    if path is None:
        return default
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise BadVariable(f"{name}_FILE: can not read {path}: {error.strerror}") from error


def integer(name: str, default: int, *, minimum: int = 0) -> int:
    value = text(name)
    if not value:
        return default
    if not value.isdecimal() or int(value) < minimum:
        raise BadVariable(f"{name} must be a whole number of at least {minimum}, not {value!r}")
    return int(value)


def switch(name: str, default: bool) -> bool:
    value = text(name).lower()
    if not value:
        return default
    if value in ("1", "on", "true", "yes"):
        return True
    if value in ("0", "off", "false", "no"):
        return False
    raise BadVariable(f"{name} must be on or off, not {value!r}")


def choice(name: str, options: tuple[str, ...], default: str) -> str:
    value = text(name) or default
    if value not in options:
        raise BadVariable(f"{name} must be one of {', '.join(options)}, not {value!r}")
    return value


def words(name: str) -> list[str]:
    """A comma-separated list; blanks around the commas do not count."""
    return [word.strip() for word in text(name).split(",") if word.strip()]
