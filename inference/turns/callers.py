"""Programs that wait for an answer on an open line, and hear of it in no other way.

While one does, its turn is renewed now and then. One that nobody renews any more is wanted by nobody: the process at
this end of the line was killed, and the program has asked again elsewhere (`Turn.wanted_until`).
"""

import threading
import time
from uuid import UUID

import structlog
from django.db import connection
from django.db.utils import DatabaseError, InterfaceError
from psycopg_pool import PoolTimeout

from inference.policy import current_policy
from inference.turns import lifecycle

log = structlog.get_logger(__name__)

RENEWALS = 6
"""In the time for which a turn is wanted: a process may be busy for most of it."""


class Callers:
    """The lines of this process. One statement renews all of them, in a thread that lives as long as there are any:
    the event loop may be busy, and a caller who reads slowly is there all the same.
    """

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
                ended = waiting - lifecycle.still_wanted(waiting, policy)
            except (DatabaseError, InterfaceError, PoolTimeout) as error:
                log.warning("callers_not_renewed", reason=str(error))
                continue
            finally:
                connection.close()  # back to the pool: it is shared with the pages
            with self._lock:
                self._waiting -= ended


callers = Callers()
