"""Who may open a WebSocket: pages of this site. One door before all socket routes, so that no route can forget it."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host


class AllowedOriginsOnly:
    """Refuses sockets that no page of ours opened.

    A page of another site may open a socket with the visitor's cookies, and the browser then only says whose page it
    is: the rule is that of Django's CSRF check. `Host` alone proves nothing, since whoever owns a name can point it
    at this machine (DNS rebinding). Programs without an Origin are refused too: sockets know cookies only, and for
    programs there are event streams below /inference/ and /v1/.
    """

    def __init__(self, application: Any) -> None:
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if not is_from_our_pages(scope["headers"]):
            await send({"type": "websocket.close"})
            return
        # Daphne believes a header of anybody that says below which path the site lies.
        await self.application({**scope, "root_path": ""}, receive, send)


def is_from_our_pages(headers: list[tuple[bytes, bytes]]) -> bool:
    """Host is one that we answer to, and Origin is PUBLIC_URL, a trusted origin, or that very host."""
    hosts, origins = _values(headers, b"host"), _values(headers, b"origin")
    if len(hosts) != 1 or len(origins) != 1:
        return False
    host, origin = hosts[0].lower(), origins[0].lower()
    name, _ = split_domain_port(host)
    if not name or not validate_host(name, settings.ALLOWED_HOSTS):
        return False
    if origin in (one.lower() for one in settings.CSRF_TRUSTED_ORIGINS):
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:  # "http://["
        return False
    # A site that is public under https is not reached without it but from this machine.
    is_local = name in ("localhost", "127.0.0.1", "[::1]")
    schemes = ("http", "https") if is_local or not settings.SESSION_COOKIE_SECURE else ("https",)
    return parts.scheme in schemes and origin == f"{parts.scheme}://{host}"


def _values(headers: list[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for given, value in headers if given == name]
