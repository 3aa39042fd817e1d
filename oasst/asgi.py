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
from inference.routing import websocket_urlpatterns as chat_sockets  # noqa: E402
from oasst.accounts.site_settings.sockets import OpenSiteOnly  # noqa: E402
from oasst.core.http.asgi_handler import SingleThreadASGIHandler  # noqa: E402
from oasst.core.http.websocket_origins import AllowedOriginsOnly  # noqa: E402
from oasst.site.notices.routing import websocket_urlpatterns as bell_sockets  # noqa: E402

_django = SingleThreadASGIHandler()


async def http_application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve HTTP at the root of the host.

    Daphne trusts the header `Daphne-Root-Path` from any client: with it, a closed page could pass as an open one.
    """
    await _django({**scope, "root_path": ""}, receive, send)


async def unknown_path(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Refuse a WebSocket on an unknown path."""
    await send({"type": "websocket.close"})


_sockets = URLRouter([*chat_sockets, *bell_sockets, re_path("", unknown_path)])  # type: ignore[arg-type]
application = ProtocolTypeRouter(
    {"http": http_application, "websocket": AllowedOriginsOnly(AuthMiddlewareStack(OpenSiteOnly(_sockets)))}
)
