"""Did a request come from this very machine? What only its owner may see hangs on it."""

from ipaddress import ip_address

from django.http import HttpRequest
from django.http.request import split_domain_port

_NAMES = ("localhost", "127.0.0.1", "[::1]")
_FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_VIA")


def is_loopback(request: HttpRequest) -> bool:
    """The client and the name it asked for are both this machine, and no proxy on it stands between."""
    if any(name in request.META for name in _FORWARDED):
        return False
    try:
        client = ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return client.is_loopback and split_domain_port(request.get_host())[0] in _NAMES
