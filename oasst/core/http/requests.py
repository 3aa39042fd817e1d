"""What pages and edges ask about a request: who sent it, what it can read, where it may go next."""

import ipaddress
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
# What proxies and tunnels add, beside everything that begins with X-Forwarded.
_ADDED_BY_PROXIES = frozenset(
    {
        *("HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP", "HTTP_X_CLIENT_IP", "HTTP_X_CLUSTER_CLIENT_IP"),
        *("HTTP_TRUE_CLIENT_IP", "HTTP_CF_CONNECTING_IP", "HTTP_X_ORIGINAL_FORWARDED_FOR"),
    }
)


def client_address(request: HttpRequest) -> str:
    """The address that limits count by: the peer, or what our own proxies (TRUSTED_PROXIES of them) say it is.

    Each proxy appends the address that it saw to X-Forwarded-For, so only the last entries can be believed.
    """
    given = str(request.META.get("REMOTE_ADDR") or "")
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    if 0 < settings.TRUSTED_PROXIES <= len(hops):
        given = hops[-settings.TRUSTED_PROXIES]
    try:
        return requester(ipaddress.ip_address(given))
    except ValueError:
        return "unknown"


def requester(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """What counts as one requester: an IPv4 address, or a /48 of IPv6. An ordinary line is given a /56 or a /48, so
    counting by /64 would make hundreds of requesters of one household.
    """
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.IPv6Network((address, 48), strict=False).network_address)


def comes_from_elsewhere(request: HttpRequest) -> bool:
    """True if this request surely came from another machine, through a proxy, or from another site's page.

    False proves nothing: a plain proxy, a raw tunnel, the port of a container and another user of this machine look
    the same as its owner. So this may narrow what an operator switched on, and never grant anything.
    """
    if any(name in _ADDED_BY_PROXIES or name.startswith("HTTP_X_FORWARDED") for name in request.META):
        return True
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return True
    try:
        return not ipaddress.ip_address(str(request.META.get("REMOTE_ADDR") or "")).is_loopback
    except ValueError:
        return True


def is_private_site() -> bool:
    """Whether the settings say that this site is for one machine: by its address, and by where it listens."""
    return settings.IS_LOCAL and listens_on_loopback()


def listens_on_loopback() -> bool:
    """Whether only programs on this machine, such as a proxy, can reach the port of the site."""
    return settings.BIND_ADDRESS in _LOOPBACK_NAMES


def safe_next(request: HttpRequest, default: str) -> str:
    """The page of ours that `next` names, else `default`. Never another site."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    return target if is_own_page(request, target) else default


def is_own_page(request: HttpRequest, target: str) -> bool:
    """Whether an address that somebody gave us leads to a page of this site."""
    # Not a word, such as `admin` or `0`: Django would look for a view of that name.
    if not target.startswith(("/", "http://", "https://")):
        return False
    hosts = {request.get_host()}
    return url_has_allowed_host_and_scheme(target, allowed_hosts=hosts, require_https=request.is_secure())


def page_before(request: HttpRequest) -> str:
    """The page of ours on which somebody followed a link or sent a form to come here; empty where none is known.

    A page does not come before itself, but it is where its own form was sent from. The page that refuses a foreign
    host asks too: no page is of that host.
    """
    before = request.headers.get("Referer", "")
    try:
        if not is_own_page(request, before):
            return ""
    except DisallowedHost:
        return ""
    parts = urlsplit(before)
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    is_itself = request.method in ("GET", "HEAD") and path == request.get_full_path()
    return "" if is_itself or not is_own_page(request, path) else path


def is_from_script(request: HttpRequest) -> bool:
    """A script of a page of ours is asking (static/js/keep.js): it reads codes, and a page would be of no use to it."""
    return request.headers.get("X-Requested-With") == "fetch"


def wants_json(request: HttpRequest) -> bool:
    """A program is asking, or a script of ours, so that refusals are told by a code and not by a page."""
    if is_from_script(request):
        return True
    accept = request.headers.get("Accept", "")
    return "application/json" in accept and "text/html" not in accept


def is_fragment_request(request: HttpRequest) -> bool:
    """A script of a page of ours is asking for a piece of it."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Boosted") != "true"
