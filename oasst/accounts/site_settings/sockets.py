"""Refuse new WebSockets during maintenance, except for staff, and those of a chat that is switched off.

Open ones go on to the end of their answer.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from channels.db import database_sync_to_async

from oasst.accounts.site_settings.reading import current

_CHAT = "/ws/chat/"

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class OpenSiteOnly:
    """ASGI middleware. It needs the user in the scope, so it stands inside channels' AuthMiddlewareStack."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        site = await database_sync_to_async(current, thread_sensitive=False)()
        is_staff = getattr(scope.get("user"), "is_staff", False)
        is_off = not site.chat and scope["path"].startswith(_CHAT)
        if is_off or (site.maintenance and not is_staff):
            await send({"type": "websocket.close"})
            return
        await self._application(scope, receive, send)
