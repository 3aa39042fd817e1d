"""Named locks, and `Busy` for timeouts.

All locks end with their transaction, because a pooler in transaction mode shares sessions between clients.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg_pool
from django.db import OperationalError, connection
from django.db.transaction import TransactionManagementError

from oasst.core.errors import as_domain_error


def advisory_lock(*parts: object) -> None:
    """Take the lock named by `parts`, waiting if necessary, and hold it until the open transaction ends.

    Raise TransactionManagementError outside a transaction, where PostgreSQL would release the lock at once.
    """
    _call("SELECT pg_advisory_xact_lock(%s)", parts)


def try_advisory_lock(*parts: object) -> bool:
    """Take the lock as `advisory_lock` does, or return False at once if another transaction holds it."""
    return bool(_call("SELECT pg_try_advisory_xact_lock(%s)", parts))


def _call(sql: str, parts: tuple[object, ...]) -> Any:
    if not connection.in_atomic_block:
        raise TransactionManagementError("advisory locks need an open transaction")
    with connection.cursor() as cursor:  # the ORM cannot call a function without a table
        cursor.execute(sql, [_lock_id(parts)])
        return cursor.fetchone()[0]


@contextmanager
def timeouts_as_busy() -> Iterator[None]:
    """Raise `Busy` if a lock, a statement or the connection pool times out inside the block.

    For callers that handle `Busy` themselves; edges use `as_domain_error`. Wrap the whole transaction, which can only
    be rolled back after such an error.
    """
    try:
        yield
    except (OperationalError, psycopg_pool.PoolTimeout) as error:
        if busy := as_domain_error(error):
            raise busy from error
        raise


def _lock_id(parts: tuple[object, ...]) -> int:
    """Return 64 bits of a hash. The separator keeps ("a", "bc") and ("ab", "c") apart."""
    name = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
