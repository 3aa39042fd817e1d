"""Limits for the connections and the time of one client in a web process. Independent of the web server."""

import ipaddress
import resource
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from oasst.core.http.requests import client_key

MAX_CONNECTIONS = 10_000
RESERVED_FILES = 200
"""Open files reserved for the database, Redis, logs and models."""


@dataclass(frozen=True)
class Deadlines:
    """Seconds that a client has, even if bytes trickle in, which would restart twisted's own limit."""

    head: float = 20
    """From the connection to the end of the first headers."""
    idle: float = 60
    """From the end of a response to the end of the next headers on the same connection."""
    body: float = 30
    """For a body of any size; larger ones get more time according to `pace`."""
    pace: float = 4096
    """Bytes per second that a body must reach on average after that: the largest one may take 20 minutes."""
    draining: float = 600
    """For reading the last response on a connection."""


class ConnectionLimiter:
    """Limits how many connections each address may hold open in this process.

    Connections from this machine are not counted, because they may come from a proxy, which stands for everybody.
    Behind declared proxies nothing is counted, because those limit their clients themselves.
    """

    def __init__(self, per_address: int, *, in_all: int = 0, spares_this_machine: bool = True) -> None:
        """`in_all` is for all addresses together; 0 means no limit."""
        self.per_address, self.in_all, self.spares_this_machine = per_address, in_all, spares_this_machine
        self._by_address: dict[str, WeakSet[Any]] = {}
        self._all: WeakSet[Any] = WeakSet()

    def admits(self, transport: Any) -> bool:
        """Count a new connection, given by its twisted transport. Return False if there are too many."""
        # Near the limit, count only those still connected: the set may hold closed ones for a while.
        if self.in_all and len(self._all) >= self.in_all and _connected(self._all) >= self.in_all:
            return False
        self._all.add(transport)
        address = self._address_key(transport.getPeer())
        if not self.per_address or address is None:
            return True
        self._forget_closed()
        connections = self._by_address.setdefault(address, WeakSet())
        # Transports are counted and not protocols, because a WebSocket takes over the transport of an HTTP connection.
        if _connected(connections) >= self.per_address:
            return False
        connections.add(transport)
        return True

    def _address_key(self, peer: Any) -> str | None:
        """Return the key to count by (`requests.client_key`), or None to not count."""
        try:
            address = ipaddress.ip_address(peer.host)
        except (AttributeError, ValueError):  # a Unix socket
            return None
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        if address.is_loopback and self.spares_this_machine:
            return None
        return client_key(address)

    def _forget_closed(self) -> None:
        if len(self._by_address) > 1000:
            self._by_address = {address: open for address, open in self._by_address.items() if _connected(open)}


def _connected(transports: WeakSet[Any]) -> int:
    return sum(1 for transport in transports if transport.connected)


def raise_open_file_limit() -> int:
    """Raise this process's limit of open files as far as allowed, and return how many connections it may accept.

    With the default limit a thousand idle connections would leave no file for anything else.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return max(50, min(MAX_CONNECTIONS, soft - RESERVED_FILES)) if soft != resource.RLIM_INFINITY else MAX_CONNECTIONS
