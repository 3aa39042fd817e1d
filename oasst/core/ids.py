"""Identifiers: time-ordered UUIDs for rows, random ones for secrets."""

import os
import time
from datetime import datetime
from uuid import UUID


def uuid7() -> UUID:
    """Return a version 7 UUID (RFC 9562), which Python 3.11 lacks: 48 bits of Unix milliseconds, 74 random bits.

    Neighbors in time are neighbors in the index, which keeps inserts into large tables cheap. Not a secret: it reveals
    when it was made.
    """
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return UUID(int=value)


def first_uuid7(moment: datetime) -> UUID:
    """Return the smallest id of this moment: rows from it on were made since, and their primary key finds them."""
    return UUID(int=int(moment.timestamp() * 1_000) << 80)
