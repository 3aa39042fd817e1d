"""Ids of made rows: version 7 UUIDs like `oasst.core.ids.uuid7`, of a given time and repeatable chance."""

import random
from datetime import datetime


def new_id(at: datetime, chance: random.Random) -> str:
    """32 hexadecimal digits, as COPY takes them."""
    value = (int(at.timestamp() * 1000) << 80) | 0x7 << 76 | 0x2 << 62
    return f"{value | chance.getrandbits(12) << 64 | chance.getrandbits(62):032x}"
