"""Watch an answer: an async stream of events that any number of readers may open, leave and reopen.

The row has the checkpoint, Redis the text since then. After a gap (Redis was emptied, an engine died) the reader waits
for the next checkpoint; an overlap is not repeated.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from channels.db import database_sync_to_async
from django.db import connection
from redis.exceptions import RedisError

from inference import queries
from inference.models import Turn
from inference.turns.events import Done, Event, Failed, Queued, Token
from inference.turns.states import ANSWERABLE, OPEN, TurnState
from inference.turns.streams import Reader

POLL_SECONDS = 2.0
"""The row is read again after this time without news: an engine may have died, or a message been lost."""
_GAP_SECONDS = 0.25


@dataclass(frozen=True)
class _Snapshot:
    turn: Turn
    text: str
    queued: queries.QueuePosition | None


async def watch_turn(turn_id: UUID, after: int = 0, *, queued: bool = True) -> AsyncIterator[Event]:
    """Yield the events after the position `after` to the end of the answer. The caller has checked who may watch.

    `queued=False` leaves out `Queued` events: for each of them the whole queue is read. Holds no database connection
    between reads, so open streams do not exhaust the pool.
    """
    position, sent = after, None
    async with Reader(turn_id) as reader:
        while True:
            # Not "thread sensitive": that would run the queries of all watchers in one thread.
            row = await database_sync_to_async(_read_row, thread_sensitive=False)(turn_id, queued)
            if len(row.text) > position:
                yield Token(len(row.text), row.text[position:])
                position = len(row.text)
            if TurnState(row.turn.state) not in OPEN:
                yield _last_event(row, position)
                return
            if row.queued is not None and row.queued != sent:
                sent = row.queued
                yield Queued(position, sent.position, sent.size, sent.wait_seconds)
            async for token in _new_tokens(reader, position):
                yield token
                position = token.id


async def _new_tokens(reader: Reader, position: int) -> AsyncIterator[Token]:
    """Yield pieces from Redis while they continue at `position`. Ends when the row has to be read."""
    while True:
        try:
            pieces = await reader.read(position, POLL_SECONDS)
        except (RedisError, OSError):
            await asyncio.sleep(_GAP_SECONDS * 2)
            return
        if not pieces:
            return
        for piece in pieces:
            if piece.text is None:
                return
            if piece.id - len(piece.text) > position:
                await asyncio.sleep(_GAP_SECONDS)
                return
            if piece.id > position:
                yield Token(piece.id, piece.text[position - piece.id :])
                position = piece.id


def _last_event(row: _Snapshot, position: int) -> Event:
    turn, text = row.turn, row.text
    number = max(position, len(text)) + 1
    if TurnState(turn.state) in ANSWERABLE:
        tokens = turn.prompt_tokens, turn.completion_tokens
        return Done(number, turn.state, text, turn.finish_reason, *tokens, turn.dropped_messages)
    return Failed(number, turn.state, turn.error_code or turn.state, turn.error or "This was not answered.", text)


def _read_row(turn_id: UUID, queued: bool) -> _Snapshot:
    try:
        turn = Turn.objects.select_related("message").get(pk=turn_id)
        waits = queued and turn.state == TurnState.PENDING
        text = turn.text if turn.state in OPEN else turn.message.content
        return _Snapshot(turn, text, queries.find_queue_position(turn_id) if waits else None)
    finally:
        connection.close()
