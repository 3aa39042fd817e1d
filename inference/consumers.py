"""The WebSocket of an answer, for the page of its chat. The server sends the events of `watch_turn` as JSON, one per
frame; the page may send "stop". Text comes as rendered blocks (`inference.turns.rendering`):

    {"type": "blocks", "id": 120, "from": 2, "html": ["<p>…</p>"], "final": 2}

The page keeps its blocks before `from` and replaces the rest with `html`; the first `final` blocks are complete. With
`code`, `html` is empty and the plain text is appended to the last block. The first patch of a connection has all
blocks. If the answer has already ended, only its end is sent ("done" or "failed"), because the page has the text.

The server keeps no state per reader: any number of windows may watch, and reconnect with the id of their last event. A
page that hears nothing for much longer than `HEARTBEAT_SECONDS` knows that the connection is dead. In the same interval
the server checks that the session is open and the user may still use the chat.
"""

import asyncio
import contextlib
import json
import time
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import structlog
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from inference.chats import asking
from inference.chats.access import get_turn_for
from inference.turns.events import Done, Failed, Token, as_json
from inference.turns.rendering import AnswerPage
from inference.turns.sse import HEARTBEAT_SECONDS, parse_position, with_heartbeats
from inference.turns.states import FINISHED
from inference.turns.watch import watch_turn
from oasst.accounts.access import require_contributor
from oasst.accounts.authentication.sessions import is_open
from oasst.accounts.models import User
from oasst.api.compact_json import dump
from oasst.core.errors import Busy, DomainError, NotAllowed
from oasst.core.http.open_sockets import OpenSockets
from oasst.core.ratelimit import CHAT_LISTENS, count_use

MAX_SOCKETS_PER_USER = 32
"""Open sockets in this process: each holds a connection to Redis."""

# Close codes. The page reconnects after BROKEN and after a lost connection, not after the others.
ENDED, BROKEN, REFUSED, NOT_FOUND, TOO_MANY = 1000, 1011, 4403, 4404, 4429

log = structlog.get_logger(__name__)

_sockets = OpenSockets()


class AnswerConsumer(AsyncWebsocketConsumer):
    """/ws/chat/<message_id>/?after=N"""

    # A channel layer is not needed: it would cost a connection to Redis, and end the socket if Redis is slow.
    channel_layer_alias = "none"

    async def connect(self) -> None:
        self.sending: asyncio.Task[None] | None = None
        await self.accept()
        self.user = self.scope["user"]
        self.message_id: UUID = self.scope["url_route"]["kwargs"]["message_id"]
        try:
            length = await database_sync_to_async(_check, thread_sensitive=False)(self.user, self.message_id)
        except Busy as error:
            await self.close(TOO_MANY, error.code)
            return
        except DomainError as error:
            await self.close(REFUSED if isinstance(error, NotAllowed) else NOT_FOUND, error.code)
            return
        if _sockets.number_of(self.user.pk) >= MAX_SOCKETS_PER_USER:
            await self.close(TOO_MANY, "too_many_sockets")
            return
        after = parse_position(parse_qs(self.scope["query_string"].decode("latin-1")).get("after", ["0"])[0])
        self.sending = asyncio.create_task(self._send_answer(after, length))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Handle {"type": "stop"} and ignore everything else."""
        if self.sending is None or not text_data or len(text_data) > 100:
            return
        with contextlib.suppress(ValueError, DomainError):
            if json.loads(text_data) == {"type": "stop"}:
                stop = database_sync_to_async(asking.stop_turn, thread_sensitive=False)
                try:
                    await stop(user=self.user, message_id=self.message_id)
                except Busy as error:
                    refusal = {"code": error.code, "message": error.message, "retry_after": error.retry_after}
                    await self.send(dump({"type": "refused", **refusal}))

    async def disconnect(self, code: int) -> None:
        if self.sending is not None:
            self.sending.cancel()
            await asyncio.gather(self.sending, return_exceptions=True)

    async def _send_answer(self, after: int, length: int | None) -> None:
        _sockets.add(self.user.pk)
        try:
            if length is not None:
                # The answer has ended, so the page has it rendered already.
                async for event in watch_turn(self.message_id, after=length):
                    await self._send_json(as_json(event))
            else:
                async with AnswerPage(self.message_id, self._send_json, after) as page:
                    if not await self._send_events(page):
                        return
        except Exception:
            log.exception("answer_not_told")
            await self.close(BROKEN)
        else:
            await self.close(ENDED)
        finally:
            _sockets.remove(self.user.pk)

    async def _send_events(self, page: AnswerPage) -> bool:
        """Send events to the end of the answer. Return False if the socket was closed before."""
        checked_at = time.monotonic()
        # From the start of the answer: rendering needs the whole text.
        async for event in with_heartbeats(watch_turn(self.message_id), HEARTBEAT_SECONDS):
            if time.monotonic() - checked_at >= HEARTBEAT_SECONDS:
                checked_at = time.monotonic()
                key = self.scope["session"].session_key
                if not await database_sync_to_async(_may_watch, thread_sensitive=False)(key, self.user.pk):
                    await self.close(REFUSED, "sign_in")
                    return False
            if isinstance(event, Token):
                page.add(event)
                continue
            if isinstance(event, Done | Failed):
                await page.finish(event.text)
            await self._send_json(as_json(event) if event is not None else {"type": "ping"})
        return True

    async def _send_json(self, frame: dict[str, Any]) -> None:
        await self.send(dump(frame))


def _check(user: User, message_id: UUID) -> int | None:
    """Return the length of the answer if it has ended, else None. Raise NotAllowed, NotFound, Busy."""
    require_contributor(user)
    count_use(CHAT_LISTENS, user.pk)
    turn = get_turn_for(user, message_id)
    return len(turn.message.content) if turn.state in FINISHED else None


def _may_watch(session_key: str | None, user_id: UUID) -> bool:
    """Return whether the session is open and the user may still use the chat."""
    user = User.objects.filter(pk=user_id).first()
    if user is None or not is_open(session_key, user):
        return False
    try:
        require_contributor(user)
    except DomainError:
        return False
    return True
