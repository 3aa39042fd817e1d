"""Sending to addresses that somebody else chose: only to the public internet, only where the check looked, never long.

The name is resolved once, every address that it has must be public, and the connection goes to the checked address: a
name that changes its mind between check and connection gains nothing. No redirect is followed, no proxy is used.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from oasst.core.errors import Invalid

LONGEST_URL = 500
CONNECT_SECONDS = 5
SECONDS = 10
"""For the whole exchange: whoever answers a byte at a time is cut off."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_TLS = ssl.create_default_context()


class NoAnswer(Exception):
    """Nothing came back that is an HTTP answer; the text says why."""


@dataclass(frozen=True)
class Target:
    tls: bool
    host: str
    port: int
    path: str


def read_url(url: str) -> Target:
    """An https address without surprises. Raises Invalid `url`. Does not resolve the name."""

    def refuse(why: str) -> Invalid:
        return Invalid(f"This address can not be used: {why}.", code="url", field="url")

    if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise refuse(f"it has at most {LONGEST_URL} ASCII characters and no blanks")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise refuse("it is no URL") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise refuse("it is no URL")
    if parts.username is not None or parts.fragment:
        raise refuse("it holds a name, a password or a fragment")
    tls = parts.scheme == "https"
    if not tls and not settings.WEBHOOKS_TO_LOOPBACK:
        raise refuse("it must begin with https")
    port = port or (443 if tls else 80)
    if port < 1024 and port not in (80, 443):
        raise refuse("this port belongs to another kind of service")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(tls, parts.hostname, port, path)


def resolve(target: Target) -> str:
    """The address to connect to. Raises NoAnswer when the name has none, or one that is not public."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NoAnswer("The name of the host is unknown.") from error
    addresses = [str(one[4][0]) for one in found]
    if not addresses or not all(is_allowed(one) for one in addresses):
        raise NoAnswer("The host is not on the public internet.")
    return addresses[0]


def is_allowed(address: str) -> bool:
    """A public address, also behind the ways in which IPv6 writes one of IPv4; this machine where settings say so."""
    one = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(one, ipaddress.IPv6Address):
        inner = one.ipv4_mapped or one.sixtofour or (one.teredo or (None, None))[1]
        if inner is None and one in _NAT64:
            inner = ipaddress.IPv4Address(int(one) & 0xFFFFFFFF)
        if inner is not None:
            return is_allowed(str(inner))
    if isinstance(one, ipaddress.IPv6Address) and not one.is_loopback and one not in _GLOBAL_UNICAST:
        return False  # what is not given out to the public internet, whatever else it stands for
    if one.is_loopback:
        return bool(settings.WEBHOOKS_TO_LOOPBACK)
    return one.is_global and not one.is_multicast


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Send, and give the HTTP status of the answer, whose body is not read. Raises NoAnswer."""
    try:
        target = read_url(url)
        address = resolve(target)
        with socket.create_connection((address, target.port), CONNECT_SECONDS) as plain:
            return _exchange(target, plain, body, headers)
    except Invalid as error:
        raise NoAnswer(error.message) from error
    except ssl.SSLError as error:
        raise NoAnswer(f"TLS failed: {error.reason or error}") from error
    except TimeoutError as error:
        raise NoAnswer(f"No answer within {SECONDS} seconds.") from error
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"The connection failed: {error or type(error).__name__}") from error


def _exchange(target: Target, plain: socket.socket, body: bytes, headers: dict[str, str]) -> int:
    plain.settimeout(SECONDS)
    kind: type[Any] = http.client.HTTPSConnection if target.tls else http.client.HTTPConnection
    connection = kind(target.host, target.port)
    sock: Any = plain
    if target.tls:
        sock = _TLS.wrap_socket(plain, server_hostname=target.host, do_handshake_on_connect=False)
    connection.sock = sock
    late = threading.Event()

    def cut_off() -> None:
        late.set()
        # Of the plain kind: shutting down TLS would ask the other side.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)

    deadline = threading.Timer(SECONDS, cut_off)
    deadline.daemon = True
    deadline.start()
    try:
        if target.tls:
            sock.do_handshake()
        connection.request("POST", target.path, body, headers)
        status: int = connection.getresponse().status
        return status
    except (OSError, http.client.HTTPException) as error:
        if late.is_set():
            raise TimeoutError from error
        raise
    finally:
        deadline.cancel()
        connection.close()
