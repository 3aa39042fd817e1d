"""The ASGI application: HTTP through Django, WebSockets through Channels (no socket routes yet)."""

import os
from typing import Any

import django
from channels.routing import ProtocolTypeRouter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oasst.settings")
django.setup(set_prefix=False)

from oasst.core.one_hop import OneHopHandler  # noqa: E402  # it needs the apps, which the line above loads

_pages = OneHopHandler()


async def at_the_top(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The site lives at the top of its host.

    Daphne believes a header `Daphne-Root-Path` of anybody: it would change what our addresses mean, and so pass the
    gate as a page that is open to all.
    """
    await _pages({**scope, "root_path": ""}, receive, send)


application = ProtocolTypeRouter({"http": at_the_top})
