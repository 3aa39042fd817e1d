"""Typed readers of environment variables.

Each variable NAME may also be given as NAME_FILE, a path whose content is the value (Docker and Kubernetes secrets).
A value that can not be read names the variable, because the person who reads the error is starting the site.
"""

import os
import re
from pathlib import Path

_LARGEST = 2**63 - 1
_MOST_DIGITS = 30


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


def integer(name: str, default: int, *, minimum: int = 0, maximum: int = _LARGEST) -> int:
    value = text(name)
    if not value:
        return default
    # First by the digits: Python refuses to read a number of thousands of them, without naming the variable.
    found = int(value) if value.isdecimal() and len(value) <= _MOST_DIGITS else None
    if found is None or not minimum <= found <= maximum:
        bounds = f"of at least {minimum}" if maximum == _LARGEST else f"from {minimum} to {maximum}"
        raise BadVariable(f"{name} must be a whole number {bounds}, not {value[:100]!r}")
    return found


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


def rates(name: str) -> dict[str, str]:
    """Rates by the name of their rule, from "task=60 per 4 minutes, chat_turn=40 per 10 minutes; 400 per day"."""
    from limits import parse_many  # not at the top: `up` reads its settings before anything heavy

    found: dict[str, str] = {}
    for given in words(name):
        rule, _, said = (part.strip() for part in given.partition("="))
        try:
            is_good = all(one.amount > 0 for one in parse_many(said))
        except ValueError:
            is_good = False
        if not rule or not is_good or rule in found:
            raise BadVariable(
                f"{name} must be a list such as `task=60 per 4 minutes, report=30 per hour`, not {given!r}"
            )
        found[rule] = said
    return found


def origins(name: str) -> list[str]:
    """Origins as browsers send them, separated by commas; `*` is all. One with a path would never be met."""
    found = words(name)
    for one in found:
        if one != "*" and not _ORIGIN.fullmatch(one):
            raise BadVariable(f"{name}: {one!r} is no origin. Write it as https://chat.example.org, without a path")
    return [one.lower() for one in found]


_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#@*\s]+")


def words(name: str) -> list[str]:
    """A comma-separated list; blanks around the commas do not count."""
    return [word.strip() for word in text(name).split(",") if word.strip()]
