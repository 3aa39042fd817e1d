"""The ASGI application: HTTP through Django, WebSockets through Channels."""

import os
from typing import Any

import django
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oasst.settings")
django.setup(set_prefix=False)

# These need the apps, which the line above loads.
from inference.routing import websocket_urlpatterns  # noqa: E402
from oasst.core.http.asgi_handler import OneHopHandler  # noqa: E402
from oasst.core.http.sockets import AllowedOriginsOnly  # noqa: E402

_pages = OneHopHandler()


async def at_the_top(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The site lives at the top of its host.

    Daphne believes a header `Daphne-Root-Path` of anybody: it would change what our addresses mean, and so pass the
    gate as a page that is open to all.
    """
    await _pages({**scope, "root_path": ""}, receive, send)


async def elsewhere(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """A socket of no address of ours is refused, as a page that does not exist is."""
    await send({"type": "websocket.close"})


_sockets = URLRouter([*websocket_urlpatterns, re_path("", elsewhere)])  # type: ignore[arg-type]  # an ASGI application
application = ProtocolTypeRouter({"http": at_the_top, "websocket": AllowedOriginsOnly(AuthMiddlewareStack(_sockets))})
