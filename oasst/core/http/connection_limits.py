"""What one caller may hold of a web process: connections, and time. Knows nothing of the server that asks."""

import ipaddress
import resource
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from oasst.core.http.requests import requester

MOST_CONNECTIONS = 10_000
KEPT_FILES = 200
"""Open files that are left for the database, Redis, logs and models."""


@dataclass(frozen=True)
class Deadlines:
    """Seconds that a caller has, whatever trickles in meanwhile. Twisted's own limit starts anew with each byte."""

    head: float = 20
    """From the connection to the end of the first head."""
    idle: float = 60
    """From the end of an answer to the end of the next head on the same connection."""
    body: float = 30
    """For a body, before its pace is looked at."""
    pace: float = 4096
    """Bytes a second that a body brings on the whole from then on: the largest one may take 20 minutes."""
    draining: float = 600
    """For taking the rest of an answer after which the connection ends."""


class ConnectionLimiter:
    """How many connections each address holds open in this process.

    Connections from this machine are not counted: they are those of a proxy, which stands for everybody. Behind
    declared proxies nothing is counted here, for the same reason: they limit their callers themselves.
    """

    def __init__(self, most: int, *, in_all: int = 0, spares_this_machine: bool = True) -> None:
        """`most` for an address, `in_all` for everybody together; 0 is no bound."""
        self.most, self.in_all, self.spares_this_machine = most, in_all, spares_this_machine
        self._open: dict[str, WeakSet[Any]] = {}
        self._everybodys: WeakSet[Any] = WeakSet()

    def admits(self, transport: Any) -> bool:
        """Counts one more connection, a transport of twisted's, or says that there are enough."""
        # Those that are gone and not yet forgotten are only left out of the count where it matters.
        if self.in_all and len(self._everybodys) >= self.in_all and self._connected() >= self.in_all:
            return False
        self._everybodys.add(transport)
        address = self._counted_as(transport.getPeer())
        if not self.most or address is None:
            return True
        self._forget_the_closed()
        here = self._open.setdefault(address, WeakSet())
        # A WebSocket takes its connection over from HTTP, so the connections themselves are asked, not who uses them.
        if sum(1 for one in here if one.connected) >= self.most:
            return False
        here.add(transport)
        return True

    def _connected(self) -> int:
        return sum(1 for one in self._everybodys if one.connected)

    def _counted_as(self, peer: Any) -> str | None:
        """Who it counts for (`core.http.requests`); None where it is not counted."""
        try:
            address = ipaddress.ip_address(peer.host)
        except (AttributeError, ValueError):  # a socket of this machine without addresses
            return None
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        if address.is_loopback and self.spares_this_machine:
            return None
        return requester(address)

    def _forget_the_closed(self) -> None:
        if len(self._open) > 1000:
            self._open = {name: here for name, here in self._open.items() if any(one.connected for one in here)}


def room_for_connections() -> int:
    """Lets this process open as many files as the system allows it, and says how many connections that is.

    Without it a thousand idle connections would leave no file for anybody else, and the process would refuse all.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return max(50, min(MOST_CONNECTIONS, soft - KEPT_FILES)) if soft != resource.RLIM_INFINITY else MOST_CONNECTIONS
