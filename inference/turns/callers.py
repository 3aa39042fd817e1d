"""API clients that wait for an answer on an open connection, the only way in which they can get it.

While a client waits, its turn is renewed (`Turn.wanted_until`). If this process is killed, the renewals stop and the
turn ends; the client has lost its connection and asks again.
"""

import threading
import time
from uuid import UUID

import structlog
from django.db import connection
from django.db.utils import DatabaseError, InterfaceError
from psycopg_pool import PoolTimeout

from inference.models import Turn
from inference.policy import current_policy

log = structlog.get_logger(__name__)

RENEWALS = 6
"""Per `wanted_seconds`: several, because the process may be busy for most of that time."""


class Callers:
    """The turns with a waiting client in this process, renewed from a thread because the event loop may be busy."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[UUID] = set()
        self._renewing = False

    def add(self, turn_id: UUID) -> None:
        with self._lock:
            self._waiting.add(turn_id)
            if not self._renewing:
                self._renewing = True
                threading.Thread(target=self._renew, name="chat callers", daemon=True).start()

    def remove(self, turn_id: UUID) -> None:
        with self._lock:
            self._waiting.discard(turn_id)

    def _renew(self) -> None:
        policy = current_policy()
        while True:
            time.sleep(policy.wanted_seconds / RENEWALS)
            with self._lock:
                waiting = frozenset(self._waiting)
                self._renewing = bool(waiting)
            if not waiting:
                return
            try:
                ended = waiting - Turn.objects.renew(waiting, policy.wanted_seconds)
            except (DatabaseError, InterfaceError, PoolTimeout) as error:
                log.warning("callers_not_renewed", reason=str(error))
                continue
            finally:
                connection.close()  # the pool is shared with the pages
            with self._lock:
                self._waiting -= ended


callers = Callers()
