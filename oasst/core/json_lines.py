"""JSON on one line, whoever counts the lines."""

import json
from pathlib import Path
from typing import Any

# JSON leaves these three as they are, and Python's `str.splitlines`, httpx and others break lines there. The other line
# breaks of Unicode are control characters, which JSON always escapes.
_BREAKS = {"\u0085": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def dump_line(data: Any, **options: Any) -> str:
    """`data` as JSON in readable Unicode, without any character that a reader could take for the end of a line.

    `options` are those of `json.dumps`. Raises ValueError for numbers that JSON does not have (NaN, Infinity): a reader
    would refuse the line, and with it the file.
    """
    return on_one_line(json.dumps(data, ensure_ascii=False, allow_nan=False, **options))


def on_one_line(text: str) -> str:
    """JSON of one line, with those characters escaped that a reader could take for the end of it."""
    if not text.isascii():
        for character, escaped in _BREAKS.items():  # outside of strings JSON has only ASCII
            text = text.replace(character, escaped)
    return text


def lines_of(path: Path) -> list[str]:
    """The lines of a file of JSON lines that say something. U+2028 and its like are characters of a text there."""
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
