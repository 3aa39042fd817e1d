"""JSON Lines that every reader splits at the same places."""

import json
from pathlib import Path
from typing import Any

# JSON does not escape these three, but `str.splitlines`, httpx and others split lines there. The other line breaks of
# Unicode are control characters, which JSON always escapes.
_LINE_BREAKS = {"\u0085": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def dump_line(data: Any, **options: Any) -> str:
    """Return `data` as one line of JSON in readable Unicode. `options` are those of `json.dumps`.

    Raise ValueError for NaN and Infinity, for which a reader would refuse the whole file.
    """
    return escape_line_breaks(json.dumps(data, ensure_ascii=False, allow_nan=False, **options))


def escape_line_breaks(text: str) -> str:
    """Escape the characters in JSON that a reader could take for the end of a line."""
    if not text.isascii():
        for character, escaped in _LINE_BREAKS.items():  # safe, because outside of strings JSON has only ASCII
            text = text.replace(character, escaped)
    return text


def read_lines(path: Path) -> list[str]:
    """Return the non-empty lines of a JSON Lines file, split only at newlines and not at U+2028 and its like."""
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
