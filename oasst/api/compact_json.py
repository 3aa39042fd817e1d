"""JSON of the APIs: compact, on one line, dates with `+00:00`."""

from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from oasst.core.json_lines import dump_line, escape_line_breaks


def dump(data: Any) -> str:
    """Return `data` as JSON, with datetimes and UUIDs as text."""
    try:
        return escape_line_breaks(orjson.dumps(data, option=orjson.OPT_PASSTHROUGH_DATACLASS).decode())
    except orjson.JSONEncodeError:  # integers beyond 64 bits, lone surrogates, keys that are not text
        return dump_line(data, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{value!r} is no JSON")
