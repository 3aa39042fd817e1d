"""JSON as the wire writes it: compact, on one line, dates with `+00:00`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from oasst.core.json_lines import dump_line


def dump(data: Any) -> str:
    return dump_line(data, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> str:
    # `+00:00` and never `Z`; the fraction only where there is one.
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{value!r} is no JSON")
