"""Facts about a request: who sent it, what it accepts, and where it may be redirected."""

import ipaddress
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
# Headers of proxies and tunnels, besides those that start with X-Forwarded.
_ADDED_BY_PROXIES = frozenset(
    {
        *("HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP", "HTTP_X_CLIENT_IP", "HTTP_X_CLUSTER_CLIENT_IP"),
        *("HTTP_TRUE_CLIENT_IP", "HTTP_CF_CONNECTING_IP", "HTTP_X_ORIGINAL_FORWARDED_FOR"),
    }
)


def client_address(request: HttpRequest) -> str:
    """Return the address that limits count by: the peer, or what our own TRUSTED_PROXIES proxies say.

    Each proxy appends the address that it saw to X-Forwarded-For, so only the last entries can be trusted.
    """
    address = str(request.META.get("REMOTE_ADDR") or "")
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    if 0 < settings.TRUSTED_PROXIES <= len(hops):
        address = hops[-settings.TRUSTED_PROXIES]
    try:
        return client_key(ipaddress.ip_address(address))
    except ValueError:
        return "unknown"


def client_key(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Return what counts as one client: an IPv4 address, or an IPv6 /48.

    Providers give a household a /56 or a /48, so counting by /64 would make hundreds of clients of it.
    """
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.IPv6Network((address, 48), strict=False).network_address)


def is_surely_remote(request: HttpRequest) -> bool:
    """Return True if the request surely came from another machine, through a proxy, or from another site's page.

    False proves nothing: a plain proxy, a tunnel, a container port and another local user look the same. So use this
    only to restrict, never to grant anything.
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
    """Return True if the settings limit the site to this machine, by its URL and by the address it listens on."""
    return settings.IS_LOCAL and listens_on_loopback()


def listens_on_loopback() -> bool:
    """Return True if only programs on this machine, such as a proxy, can reach the port of the site."""
    return settings.BIND_ADDRESS in _LOOPBACK_NAMES


def row_id(sent: str) -> int | None:
    """Return the number that a form or an address names a row by; None if it can be none."""
    return int(sent) if sent.isascii() and sent.isdigit() and len(sent) < 19 else None


def safe_next(request: HttpRequest, default: str) -> str:
    """Return the page that `next` names if it is on this site, else `default`."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    return target if is_own_page(request, target) else default


def is_own_page(request: HttpRequest, target: str) -> bool:
    """Return True if an untrusted URL leads to a page of this site."""
    # Refuse words such as `admin` or `0`: `redirect` would look for a view of that name.
    if not target.startswith(("/", "http://", "https://")):
        return False
    hosts = {request.get_host()}
    return url_has_allowed_host_and_scheme(target, allowed_hosts=hosts, require_https=request.is_secure())


def previous_page(request: HttpRequest) -> str:
    """Return the page of this site with the link or form that led here, or "".

    A page is never its own previous page, except for its own form.
    """
    referer = request.headers.get("Referer", "")
    try:
        if not is_own_page(request, referer):
            return ""
    except DisallowedHost:  # its error page calls this too
        return ""
    parts = urlsplit(referer)
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    is_itself = request.method in ("GET", "HEAD") and path == request.get_full_path()
    return "" if is_itself or not is_own_page(request, path) else path


def is_from_script(request: HttpRequest) -> bool:
    """Return True for a request of static/js/keep.js, which needs codes instead of pages."""
    return request.headers.get("X-Requested-With") == "fetch"


def wants_json(request: HttpRequest) -> bool:
    """Return True for programs and our scripts, which need error codes instead of pages."""
    if is_from_script(request):
        return True
    accept = request.headers.get("Accept", "")
    return "application/json" in accept and "text/html" not in accept


def is_fragment_request(request: HttpRequest) -> bool:
    """Return True for an htmx request for a fragment of a page."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Boosted") != "true"
