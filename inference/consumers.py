"""An answer over a WebSocket, for the page of its chat: the events of `watch_turn` as JSON, one a frame, and "stop" the
other way. Pieces of text come as rendered blocks (`inference.turns.rendering`):

    {"type": "blocks", "id": 120, "from": 2, "html": ["<p>…</p>"], "final": 2}

The blocks before `from` stay as the page shows them, those in `html` follow, and the first `final` of all are complete.
With `code`, `html` is empty, and that plain text goes on in the last block. The first patch on a line has all blocks.
Of an answer that is over already only its end is told ("done" or "failed"): the page has it.

Nothing of an answer is kept here, so any number of windows and devices may look at one and come back with the id of
the last event they saw. A reader that hears nothing for much longer than `HEARTBEAT_SECONDS` knows the line is dead.
So often it is looked, too, whether the session is still open and the person may still be here.
"""

import asyncio
import contextlib
import json
import time
from collections import Counter
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
from inference.turns.sse import HEARTBEAT_SECONDS, with_pauses
from inference.turns.states import FINISHED
from inference.turns.watch import watch_turn
from oasst.accounts.access import require_contributor
from oasst.accounts.authentication.sessions import is_open
from oasst.accounts.models import User
from oasst.api.wire_json import dump
from oasst.core.errors import Busy, DomainError, NotAllowed
from oasst.core.ratelimit import CHAT_LISTENS, spend

MOST_PER_PERSON = 32
"""Open at once in this process: each holds a connection to Redis."""

# Why we closed. After BROKEN, as after a line that was cut, the reader should come back; after the others not.
ENDED, BROKEN, REFUSED, NOT_FOUND, TOO_MANY = 1000, 1011, 4403, 4404, 4429

log = structlog.get_logger(__name__)

_open: Counter[UUID] = Counter()


class AnswerConsumer(AsyncWebsocketConsumer):
    """/ws/chat/<message_id>/?after=N"""

    # No layer: nobody sends to a socket but its own reader. It would cost each one a connection to Redis, and
    # end it whenever that one is slow.
    channel_layer_alias = "none"

    async def connect(self) -> None:
        self.telling: asyncio.Task[None] | None = None
        await self.accept()
        self.person = self.scope["user"]
        self.message_id: UUID = self.scope["url_route"]["kwargs"]["message_id"]
        try:
            written = await database_sync_to_async(_check, thread_sensitive=False)(self.person, self.message_id)
        except Busy as error:
            await self.close(TOO_MANY, error.code)
            return
        except DomainError as error:
            await self.close(REFUSED if isinstance(error, NotAllowed) else NOT_FOUND, error.code)
            return
        if _open[self.person.pk] >= MOST_PER_PERSON:
            await self.close(TOO_MANY, "too_many_sockets")
            return
        self.telling = asyncio.create_task(self._tell(_place(self.scope), written))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """The one thing to be said is {"type": "stop"}; the rest of what may come is noise."""
        if self.telling is None or not text_data or len(text_data) > 100:
            return
        with contextlib.suppress(ValueError, DomainError):
            if json.loads(text_data) == {"type": "stop"}:
                stop = database_sync_to_async(asking.stop_turn, thread_sensitive=False)
                try:
                    await stop(user=self.person, message_id=self.message_id)
                except Busy as error:
                    refusal = {"code": error.code, "message": error.message, "retry_after": error.retry_after}
                    await self.send(dump({"type": "refused", **refusal}))

    async def disconnect(self, code: int) -> None:
        if self.telling is not None:
            self.telling.cancel()
            await asyncio.gather(self.telling, return_exceptions=True)

    async def _tell(self, after: int, written: int | None) -> None:
        _open[self.person.pk] += 1
        try:
            if written is not None:
                await self._tell_end(written)
            elif not await self._tell_answer(after):
                return
        except Exception:
            log.exception("answer_not_told")
            await self.close(BROKEN)
        else:
            await self.close(ENDED)
        finally:
            _open[self.person.pk] -= 1
            if not _open[self.person.pk]:
                del _open[self.person.pk]

    async def _tell_end(self, written: int) -> None:
        """Of an answer that was over before: nothing of it is rendered again."""
        async for event in watch_turn(self.message_id, after=written):
            await self._say(as_json(event))

    async def _tell_answer(self, after: int) -> bool:
        async with AnswerPage(self.message_id, self._say, after) as page:
            return await self._tell_events(page)

    async def _tell_events(self, page: AnswerPage) -> bool:
        """To the end of the answer; False if the reader was sent away before."""
        looked_at = time.monotonic()
        # From its beginning: what a page shows follows from the whole text.
        async for event in with_pauses(watch_turn(self.message_id), HEARTBEAT_SECONDS):
            if time.monotonic() - looked_at >= HEARTBEAT_SECONDS:
                looked_at = time.monotonic()
                if not await self._is_still_welcome():
                    await self.close(REFUSED, "sign_in")
                    return False
            if isinstance(event, Token):
                page.add(event)
                continue
            if isinstance(event, Done | Failed):
                await page.finish(event.text)
            await self._say(as_json(event) if event is not None else {"type": "ping"})
        return True

    async def _say(self, frame: dict[str, Any]) -> None:
        await self.send(dump(frame))

    async def _is_still_welcome(self) -> bool:
        key = self.scope["session"].session_key
        return await database_sync_to_async(_is_still_welcome, thread_sensitive=False)(key, self.person.pk)


def _check(person: User, message_id: UUID) -> int | None:
    """The length of the answer if it is over, else None. Raises NotAllowed, NotFound, Busy."""
    require_contributor(person)
    spend(CHAT_LISTENS, person.pk)
    turn = get_turn_for(person, message_id)
    return len(turn.message.content) if turn.state in FINISHED else None


def _is_still_welcome(session_key: str | None, person_id: UUID) -> bool:
    """False once the session was ended, or the person was suspended or closed the account."""
    person = User.objects.filter(pk=person_id).first()
    if person is None or not is_open(session_key, person):
        return False
    try:
        require_contributor(person)
    except DomainError:
        return False
    return True


def _place(scope: dict[str, Any]) -> int:
    """Where to go on; what is no number means from the beginning."""
    given = parse_qs(scope["query_string"].decode("latin-1")).get("after", ["0"])[0]
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
