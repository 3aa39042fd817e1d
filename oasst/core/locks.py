"""Waiting for other transactions: named locks that end with the transaction, and "too long" said as `Busy`.

Only transaction-level locks are used, because behind a pooler in transaction mode a session belongs to
nobody.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg_pool
from django.db import OperationalError, connection
from django.db.transaction import TransactionManagementError

from oasst.core.errors import as_domain_error


def advisory_lock(*parts: object) -> None:
    """Hold the lock named by `parts` until the open transaction ends; wait while somebody else holds it.

    Refuses outside a transaction, where PostgreSQL would drop the lock with the statement that took it.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError("advisory_lock() needs an open transaction")
    with connection.cursor() as cursor:  # the ORM calls no function without a table
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_number(parts)])


@contextmanager
def waits_are_busy() -> Iterator[None]:
    """Raise `Busy` where a lock, a statement or the connection pool timed out inside the block.

    Edges translate these by `as_domain_error` on their own. This is for callers that handle `Busy` themselves. Put it
    around the transaction: after such an error the transaction can only be rolled back.
    """
    try:
        yield
    except (OperationalError, psycopg_pool.PoolTimeout) as error:
        if busy := as_domain_error(error):
            raise busy from error
        raise


def _number(parts: tuple[object, ...]) -> int:
    """64 bits of the name. The separator keeps ("a", "bc") and ("ab", "c") apart."""
    name = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
