"""Send requests to URLs that users chose: only to the public internet, and with a time limit. Also to servers that the
operator chose, which may be anywhere.

The host name is resolved once, all its addresses must be public, and the connection goes to the checked address, so
that a changed DNS entry gains nothing. No redirects, no proxies.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from oasst.core.errors import Invalid

MAX_URL_LENGTH = 500
CONNECT_SECONDS = 5
TOTAL_SECONDS = 10
"""For the whole exchange, even if the server responds byte by byte."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_TLS = ssl.create_default_context()


class NoResponse(Exception):
    """There is no HTTP response; the text says why."""


@dataclass(frozen=True)
class Response:
    """An HTTP response. The names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Target:
    tls: bool
    host: str
    port: int
    path: str


def parse_url(url: str, *, is_trusted: bool = False) -> Target:
    """Parse and check an https URL, without resolving its host. A trusted one may be http, on any port. Raise Invalid
    `url`.
    """

    def refuse(reason: str) -> Invalid:
        return Invalid(f"This address cannot be used: {reason}.", code="url", field="url")

    if len(url) > MAX_URL_LENGTH or not url.isascii() or not url.isprintable() or " " in url:
        raise refuse(f"write at most {MAX_URL_LENGTH} ASCII characters, without spaces")
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
    if not tls and not is_trusted and not settings.WEBHOOKS_TO_LOOPBACK:
        raise refuse("it must begin with https")
    port = port or (443 if tls else 80)
    if port < 1024 and port not in (80, 443) and not is_trusted:
        raise refuse("this port belongs to another kind of service")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(tls, parts.hostname, port, path)


def resolve(target: Target, *, is_trusted: bool = False) -> str:
    """Return the IP address to connect to. Raise NoResponse if there is none, or one that is not public unless the
    target is trusted.
    """
    try:
        results = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NoResponse("The name of the host is unknown.") from error
    addresses = [str(result[4][0]) for result in results]
    if not addresses or not (is_trusted or all(map(is_allowed, addresses))):
        raise NoResponse("The host is not on the public internet.")
    return addresses[0]


def is_allowed(address: str) -> bool:
    """Return True for a public address, also for IPv4 inside IPv6, and for loopback if the settings allow it."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        ipv4 = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
        if ipv4 is None and ip in _NAT64:
            ipv4 = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if ipv4 is not None:
            return is_allowed(str(ipv4))
        if not ip.is_loopback and ip not in _GLOBAL_UNICAST:
            return False  # outside the range that is assigned to the public internet
    if ip.is_loopback:
        return bool(settings.WEBHOOKS_TO_LOOPBACK)
    return ip.is_global and not ip.is_multicast


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Send the body and return the HTTP status of the response, without reading it. Raise NoResponse."""
    return _post(url, body, headers, is_trusted=False, limit=0).status


def ask_trusted(url: str, body: bytes, headers: dict[str, str], *, limit: int) -> Response:
    """Send the body to a server that the operator chose and return its response. Raise NoResponse, also for a response
    of more than `limit` bytes.
    """
    return _post(url, body, headers, is_trusted=True, limit=limit)


def _post(url: str, body: bytes, headers: dict[str, str], *, is_trusted: bool, limit: int) -> Response:
    try:
        target = parse_url(url, is_trusted=is_trusted)
        address = resolve(target, is_trusted=is_trusted)
        with socket.create_connection((address, target.port), CONNECT_SECONDS) as plain:
            return _exchange(target, plain, body, headers, limit)
    except Invalid as error:
        raise NoResponse(error.message) from error
    except ssl.SSLError as error:
        raise NoResponse(f"TLS failed: {error.reason or error}") from error
    except TimeoutError as error:
        raise NoResponse(f"No answer within {TOTAL_SECONDS} seconds.") from error
    except (OSError, http.client.HTTPException) as error:
        raise NoResponse(f"The connection failed: {error or type(error).__name__}") from error


def _exchange(target: Target, plain: socket.socket, body: bytes, headers: dict[str, str], limit: int) -> Response:
    plain.settimeout(TOTAL_SECONDS)
    kind: type[Any] = http.client.HTTPSConnection if target.tls else http.client.HTTPConnection
    connection = kind(target.host, target.port)
    sock: Any = plain
    if target.tls:
        sock = _TLS.wrap_socket(plain, server_hostname=target.host, do_handshake_on_connect=False)
    connection.sock = sock
    timed_out = threading.Event()

    def cut_off() -> None:
        timed_out.set()
        # Not SSLSocket.shutdown, which would wait for the other side.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)

    deadline = threading.Timer(TOTAL_SECONDS, cut_off)
    deadline.daemon = True
    deadline.start()
    try:
        if target.tls:
            sock.do_handshake()
        connection.request("POST", target.path, body, headers)
        response = connection.getresponse()
        answer = response.read(limit + 1) if limit else b""
        if len(answer) > limit:
            raise NoResponse(f"The answer is longer than {limit} bytes.")
        return Response(response.status, {key.lower(): value for key, value in response.getheaders()}, answer)
    except (OSError, http.client.HTTPException) as error:
        if timed_out.is_set():
            raise TimeoutError from error
        raise
    finally:
        deadline.cancel()
        connection.close()
