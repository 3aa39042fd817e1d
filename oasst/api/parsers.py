"""The JSON of a body, read as the wires always read it."""

import json
from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.fields import empty
from rest_framework.parsers import BaseParser

DEEPEST = 100
"""Levels of a body. What operations take has four."""


class NotJson(ParseError):
    """The body is no JSON, or is nested too deep."""

    def __init__(self, position: int, message: str = "this is not JSON") -> None:
        super().__init__(message)
        self.place = {"loc": ["body", position], "msg": message, "type": "value_error.jsondecode"}


def read_json(raw: bytes) -> Any:
    """Raises NotJson."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise NotJson(getattr(error, "pos", 0)) from error


class WireParser(BaseParser):
    """Takes every media type: another one than JSON's is a body that is no object."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """`empty` where there is no body."""
        raw: bytes = stream.body
        if not raw:
            return empty
        kind = (media_type or "").partition(";")[0].strip().lower()
        if kind and kind != "application/json" and not kind.endswith("+json"):
            return raw.decode(errors="replace")
        body = read_json(raw)
        # Python reads what it then cannot write or compare again: a little below its own limit that is a crash.
        if raw.count(b"[") + raw.count(b"{") > DEEPEST and _is_deep(body):
            raise NotJson(0, f"nested more than {DEEPEST} levels deep")
        return body


def _is_deep(body: Any) -> bool:
    """Is it nested in more than `DEEPEST` levels? Level by level, since recursion is what must not happen."""
    level = [body]
    for _ in range(DEEPEST + 1):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
        if not inner:
            return False
        level = inner
    return True
