"""A value from the database that every request needs, and that costs no statement in the steady state.

A process remembers it for two seconds, then asks Redis, and only if Redis knows nothing the database. So a change is in
force everywhere within seconds of its commit, also without Redis. Without the database, what was known last stays.
"""

import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import structlog
from django.core.cache import cache
from django.db import DatabaseError
from psycopg_pool import PoolTimeout

REMEMBERED_SECONDS = 2
"""How long a process uses what it knows."""
CACHED_SECONDS = 10
"""How long Redis uses what it knows. A change deletes it; this is for a change that Redis did not hear of."""

Value = TypeVar("Value")

log = structlog.get_logger(__name__)


class Remembered(Generic[Value]):
    """`current` returns the value in force. Call `forget` after the commit of a change."""

    def __init__(
        self,
        key: str,
        *,
        read: Callable[[], Value],
        default: Callable[[], Value],
        as_json: Callable[[Value], Any],
        from_json: Callable[[Any], Value | None],
    ) -> None:
        """`key` names it in Redis and in the log. `read` asks the database; `default` is the value of a process that
        never reached it. `from_json` returns None for anything that another release may have stored.
        """
        self._key, self._read, self._default = key, read, default
        self._as_json, self._from_json = as_json, from_json
        self._known: tuple[float, Value] | None = None
        """Until when (by the monotonic clock), and what."""

    def current(self) -> Value:
        """Return the value in force. Without the database, the one that this process knew last, or the default."""
        known = self._known
        if known is not None and time.monotonic() < known[0]:
            return known[1]
        found = self._from_json(cache.get(self._key))
        if found is None:
            try:
                found = self._read()
            except (DatabaseError, PoolTimeout) as error:
                log.warning("not_read", what=self._key, reason=type(error).__name__)
                found = known[1] if known else self._default()
            else:
                cache.set(self._key, self._as_json(found), CACHED_SECONDS)
        self.remember(found)
        return found

    def remember(self, found: Value, seconds: float = REMEMBERED_SECONDS) -> None:
        """Let this process use this value for some seconds without asking."""
        self._known = (time.monotonic() + seconds, found)

    def forget(self) -> None:
        """Let every process ask again. Call it after the commit of a change."""
        self._known = None
        cache.delete(self._key)
