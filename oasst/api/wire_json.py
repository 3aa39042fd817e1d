"""JSON as the wire writes it: compact, on one line, dates with `+00:00`."""

from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from oasst.core.json_lines import dump_line, on_one_line


def dump(data: Any) -> str:
    """`data` as JSON, with moments and UUIDs as text."""
    try:
        return on_one_line(orjson.dumps(data, option=orjson.OPT_PASSTHROUGH_DATACLASS).decode())
    except orjson.JSONEncodeError:  # numbers beyond 64 bits, halves of characters, keys that are no text
        return dump_line(data, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> str:
    # `+00:00` and never `Z`; the fraction only where there is one.
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{value!r} is no JSON")
