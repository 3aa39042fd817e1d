"""Watching an answer while it comes: an async stream of events that any number of readers may open, leave and reopen.

The row tells what was saved, Redis what came since. Where the two leave a gap (Redis was emptied, an engine died), the
reader waits for the next checkpoint; where they overlap, nothing is said twice.
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

LOOK_AGAIN_SECONDS = 2.0
"""Without news the row is read again: an engine may have died, a place in the queue moved, a bell not been heard."""
_GAP_SECONDS = 0.25


@dataclass(frozen=True)
class _Seen:
    """A look at the row."""

    turn: Turn
    text: str
    place: queries.Place | None


async def watch_turn(turn_id: UUID, after: int = 0, *, places: bool = True) -> AsyncIterator[Event]:
    """The events behind the place `after` up to the end of the answer. Who may see it was asked before.

    Without `places` nothing is told of the queue: finding a place reads the whole of it, for each reader that waits.
    Needs no connection to the database between its looks, so that open streams starve nobody.
    """
    place, told = after, None
    async with Reader(turn_id) as reader:
        while True:
            seen = await _look(turn_id, places)
            if len(seen.text) > place:
                yield Token(len(seen.text), seen.text[place:])
                place = len(seen.text)
            if TurnState(seen.turn.state) not in OPEN:
                yield _last(seen, place)
                return
            if seen.place is not None and seen.place != told:
                told = seen.place
                yield Queued(place, told.position, told.size, told.wait_seconds)
            async for token in _news(reader, place):
                yield token
                place = token.id


async def _news(reader: Reader, place: int) -> AsyncIterator[Token]:
    """Pieces from Redis while they join on to `place`. Ends when the row has to be looked at."""
    while True:
        try:
            pieces = await reader.read(place, LOOK_AGAIN_SECONDS)
        except (RedisError, OSError):
            await asyncio.sleep(_GAP_SECONDS * 2)
            return
        if not pieces:
            return
        for piece in pieces:
            if piece.text is None:
                return
            if piece.id - len(piece.text) > place:
                await asyncio.sleep(_GAP_SECONDS)
                return
            if piece.id > place:
                yield Token(piece.id, piece.text[place - piece.id :])
                place = piece.id


def _last(seen: _Seen, place: int) -> Event:
    turn, text = seen.turn, seen.text
    number = max(place, len(text)) + 1
    if TurnState(turn.state) in ANSWERABLE:
        return Done(
            number,
            turn.state,
            text,
            turn.finish_reason,
            turn.prompt_tokens,
            turn.completion_tokens,
            turn.dropped_messages,
        )
    return Failed(number, turn.state, turn.error_code or turn.state, turn.error or "This was not answered.", text)


async def _look(turn_id: UUID, places: bool) -> _Seen:
    # Not "thread sensitive": that would do the database work of all watchers in one thread, one after another.
    return await database_sync_to_async(_look_now, thread_sensitive=False)(turn_id, places)


def _look_now(turn_id: UUID, places: bool) -> _Seen:
    try:
        turn = Turn.objects.select_related("message").get(pk=turn_id)
        waits = places and turn.state == TurnState.PENDING
        text = turn.text if turn.state in OPEN else turn.message.content
        return _Seen(turn, text, queries.find_place(turn_id) if waits else None)
    finally:
        connection.close()
