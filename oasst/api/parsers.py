"""Parse JSON bodies as leniently as Open-Assistant."""

import json
from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.fields import empty
from rest_framework.parsers import BaseParser

MAX_DEPTH = 100
"""Levels of nesting in a body. Operations need four."""


class InvalidJson(ParseError):
    """The body is not JSON, or nested too deeply."""

    def __init__(self, position: int, message: str = "this is not JSON") -> None:
        super().__init__(message)
        self.place = {"loc": ["body", position], "msg": message, "type": "value_error.jsondecode"}


def read_json(raw: bytes) -> Any:
    """Parse JSON. Raise InvalidJson."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidJson(getattr(error, "pos", 0)) from error


class LenientJsonParser(BaseParser):
    """Accepts every media type; a body that is not JSON becomes a string, which no operation accepts."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """Return the parsed body, or `empty` if there is none, or only white space."""
        raw: bytes = stream.body
        if not raw.strip():
            return empty
        kind = (media_type or "").partition(";")[0].strip().lower()
        if kind and kind != "application/json" and not kind.endswith("+json"):
            return raw.decode(errors="replace")
        body = read_json(raw)
        # Just below its own limit, Python can parse nested JSON but crashes when writing or comparing it.
        if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _is_deep(body):
            raise InvalidJson(0, f"nested more than {MAX_DEPTH} levels deep")
        return body


def _is_deep(body: Any) -> bool:
    """Return True if it is nested in more than `MAX_DEPTH` levels. Iterative, because recursion could crash."""
    level = [body]
    for _ in range(MAX_DEPTH + 1):
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
