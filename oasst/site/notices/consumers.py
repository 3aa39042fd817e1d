"""The WebSocket of the bell: tells an open page that the number of unread notices changed.

Each frame has the number as the page shows it and the sentences in the reader's language:

    {"unread": 3, "shown": "3", "said": "3 unread", "news": "You have a new notice."}

`news` is empty unless the number grew since the frame before. The first frame comes at once, for what happened since
the page was made. After that the socket waits in a group of the channel layer and reads nothing from the database until
`oasst.site.notices.bell` wakes it; only then it also checks that the session is open. The page may send nothing.
"""

from contextlib import suppress
from typing import Any
from uuid import UUID

import structlog
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.utils import translation
from django.utils.translation import gettext, ngettext

from oasst.accounts.access import require_contributor
from oasst.accounts.authentication.sessions import is_open
from oasst.accounts.models import User
from oasst.api.compact_json import dump
from oasst.core.errors import Busy, DomainError
from oasst.core.http.open_sockets import OpenSockets
from oasst.core.ratelimit import BELL_LISTENS, count_use
from oasst.site.notices import bell
from oasst.site.notices.wording import language_of

MAX_SOCKETS_PER_USER = 16
"""Open bells in this process. Tabs that are hidden have none."""

# Close codes. The page reconnects after BROKEN and after a lost connection, not after the others.
BROKEN, REFUSED, TOO_MANY = 1011, 4403, 4429

log = structlog.get_logger(__name__)

_sockets = OpenSockets()


class BellConsumer(AsyncWebsocketConsumer):
    """/ws/bell/"""

    person_id: UUID | None = None
    """Set while the socket is counted in `_sockets`."""
    unread: int | None = None

    async def __call__(self, *args: Any) -> None:
        """Run the socket to its end. Whatever ends it, it is counted no longer."""
        try:
            await super().__call__(*args)
        except Exception as error:  # Redis or the database: `disconnect` is not called then
            log.warning("bell_broken", error=type(error).__name__)
            with suppress(Exception):
                await self.close(BROKEN)
            await self._leave()
        finally:
            self._uncount()  # also if the server gave up waiting

    async def connect(self) -> None:
        await self.accept()
        user = self.scope["user"]
        try:
            await database_sync_to_async(_check, thread_sensitive=False)(user)
        except Busy as error:
            await self.close(TOO_MANY, error.code)
            return
        except DomainError as error:
            await self.close(REFUSED, error.code)
            return
        if _sockets.number_of(user.pk) >= MAX_SOCKETS_PER_USER:
            await self.close(TOO_MANY, "too_many_sockets")
            return
        self.person_id = user.pk
        _sockets.add(user.pk)
        # Before the number is read, so that nothing between the two is missed.
        await self.channel_layer.group_add(bell.group_of(user.pk), self.channel_name)
        await self._tell()

    async def bell_changed(self, event: dict[str, Any]) -> None:
        """Handle a wake-up of `bell.changed`."""
        await self._tell()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Ignore whatever the page sends."""

    async def disconnect(self, code: int) -> None:
        await self._leave()

    async def _leave(self) -> None:
        """Stop listening. Without Redis nothing happens: the group forgets the socket after a day."""
        if self.person_id is not None:
            with suppress(Exception):
                await self.channel_layer.group_discard(bell.group_of(self.person_id), self.channel_name)

    def _uncount(self) -> None:
        if self.person_id is not None:
            _sockets.remove(self.person_id)

    async def _tell(self) -> None:
        key = self.scope["session"].session_key
        frame = await database_sync_to_async(_frame, thread_sensitive=False)(key, self.person_id, self.unread)
        if frame is None:
            await self.close(REFUSED, "sign_in")
        elif frame["unread"] != self.unread:
            self.unread = frame["unread"]
            await self.send(dump(frame))


def _check(user: User) -> None:
    require_contributor(user)
    count_use(BELL_LISTENS, user.pk)


def _frame(session_key: str | None, person_id: UUID, before: int | None) -> dict[str, Any] | None:
    """Return what to send, or None if the session was ended or the account may not be used any more."""
    user = User.objects.filter(pk=person_id).first()
    if user is None or not is_open(session_key, user):
        return None
    try:
        require_contributor(user)
    except DomainError:
        return None
    unread = bell.count_unread(person_id)
    with translation.override(language_of(user)):
        return {
            "unread": unread,
            "shown": bell.shown(unread),
            "said": ngettext("%(number)s unread", "%(number)s unread", unread) % {"number": unread},
            "news": _news(unread - before) if before is not None else "",
        }


def _news(number: int) -> str:
    if number <= 0:
        return ""
    if number == 1:
        return gettext("You have a new notice.")
    return ngettext("You have %(number)s new notice.", "You have %(number)s new notices.", number) % {"number": number}
