"""JSON as the wire writes it: compact, dates with `+00:00`."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID


def dump(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> str:
    # `+00:00` and never `Z`; the fraction only where there is one.
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{value!r} is no JSON")
