"""Typed readers of environment variables.

Each variable NAME may also be given as NAME_FILE, a path whose content is the value (Docker and Kubernetes secrets).
Each error names the variable, because the person who reads it is starting the site.
"""

import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

_LARGEST = 2**63 - 1
_MAX_DIGITS = 30


class BadVariable(Exception):
    """An environment variable has an invalid value."""


def text(name: str, default: str = "") -> str:
    """Return the value of NAME, else the content of the file that NAME_FILE names, else the default."""
    value = os.environ.get(name)
    if value is not None:
        return value
    path = os.environ.get(f"{name}_FILE")
    if path is None:
        return default
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise BadVariable(f"{name}_FILE: cannot read {path}: {error.strerror}") from error


def kept_secret(path: Path) -> str:
    """Return the secret in this file, which is made once and readable only by its owner. Raise OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(48))
        try:
            os.link(fresh, path)  # atomic, so two processes that start together use the same secret
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text().strip()


def integer(name: str, default: int, *, minimum: int = 0, maximum: int = _LARGEST) -> int:
    value = text(name)
    if not value:
        return default
    # Count the digits first: for thousands of them int() raises an error that does not name the variable.
    number = int(value) if value.isdecimal() and len(value) <= _MAX_DIGITS else None
    if number is None or not minimum <= number <= maximum:
        bounds = f"of at least {minimum}" if maximum == _LARGEST else f"from {minimum} to {maximum}"
        raise BadVariable(f"{name} must be a whole number {bounds}, not {value[:100]!r}")
    return number


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
    """Return rates by rule name, from "task=60 per 4 minutes, chat_turn=40 per 10 minutes; 400 per day"."""
    from limits import parse_many  # late, because `up` reads its settings before anything heavy

    result: dict[str, str] = {}
    for item in words(name):
        rule, _, rate = (part.strip() for part in item.partition("="))
        try:
            is_valid = all(limit.amount > 0 for limit in parse_many(rate))
        except ValueError:
            is_valid = False
        if not rule or not is_valid or rule in result:
            raise BadVariable(
                f"{name} must be a list such as `task=60 per 4 minutes, report=30 per hour`, not {item!r}"
            )
        result[rule] = rate
    return result


def origins(name: str) -> list[str]:
    """Return comma-separated origins as browsers send them; `*` means all. One with a path would never match."""
    result = words(name)
    for origin in result:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise BadVariable(f"{name}: {origin!r} is no origin. Write it as https://chat.example.org, without a path")
    return [origin.lower() for origin in result]


_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#@*\s]+")


def address(name: str) -> str:
    """Return the http or https address of a page, or "" if it is unset."""
    value = text(name)
    if value and not re.match(r"https?://[^/\s]+[^\s]*\Z", value):
        raise BadVariable(f"{name} must be an address such as https://example.org/page, not {value[:100]!r}")
    return value


def overrides(name: str) -> dict[str, Any]:
    """Return a JSON object, such as {"num_reviews_reply": 2}."""
    value = text(name)
    try:
        result = json.loads(value or "{}")
    except ValueError:
        result = None
    if not isinstance(result, dict):
        raise BadVariable(f'{name} must be a JSON object such as {{"num_reviews_reply": 2}}, not {value[:100]!r}')
    return result


def words(name: str) -> list[str]:
    """Return a comma-separated list, without blanks around the commas."""
    return [word.strip() for word in text(name).split(",") if word.strip()]
