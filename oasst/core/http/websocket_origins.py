"""The origin check for WebSockets. It wraps all routes, so that none can forget it."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host


class AllowedOriginsOnly:
    """Refuse WebSockets that were not opened by a page of this site.

    A page of another site may open a WebSocket with the user's cookies, so Origin is checked as in Django's CSRF check.
    `Host` alone proves nothing, because anybody can point their own name at this machine (DNS rebinding). Clients
    without an Origin are refused too: WebSockets support cookies only, and API clients have event streams under
    /inference/ and /v1/.
    """

    def __init__(self, application: Any) -> None:
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if not has_allowed_origin(scope["headers"]):
            await send({"type": "websocket.close"})
            return
        # Daphne trusts the header `Daphne-Root-Path` from any client.
        await self.application({**scope, "root_path": ""}, receive, send)


def has_allowed_origin(headers: list[tuple[bytes, bytes]]) -> bool:
    """Return True if Host is allowed, and Origin is PUBLIC_URL, a trusted origin, or the same host."""
    hosts, origins = _values(headers, b"host"), _values(headers, b"origin")
    if len(hosts) != 1 or len(origins) != 1:
        return False
    host, origin = hosts[0].lower(), origins[0].lower()
    name, _ = split_domain_port(host)
    if not name or not validate_host(name, settings.ALLOWED_HOSTS):
        return False
    if origin in (trusted.lower() for trusted in settings.CSRF_TRUSTED_ORIGINS):
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:  # "http://["
        return False
    # Only this machine itself reaches an https site without https.
    is_local = name in ("localhost", "127.0.0.1", "[::1]")
    schemes = ("http", "https") if is_local or not settings.SESSION_COOKIE_SECURE else ("https",)
    return parts.scheme in schemes and origin == f"{parts.scheme}://{host}"


def _values(headers: list[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]
