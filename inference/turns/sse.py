"""The events of an answer as Server-Sent Events, in the encoding that the client knows.

An event's `id` is a position in the answer (inference.turns.events), from which a client continues after a lost
connection. It is in the JSON, because Open-Assistant's clients report an error for every line but `data:`.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID

from django.http import StreamingHttpResponse

from inference.turns.events import Event, Queued, Token, as_json
from inference.turns.watch import watch_turn
from oasst.api.compact_json import dump
from oasst.core.errors import Busy

T = TypeVar("T")
Encode = Callable[[Event], Awaitable[dict[str, Any] | None]]
"""Returns an event as JSON, or None to leave it out."""

HEARTBEAT_SECONDS = 15.0
RETRY_MILLISECONDS = 2000
MAX_STREAMS_PER_ANSWER = 16
"""In this process. Each stream holds a connection to the server and one to Redis."""
_open: Counter[UUID] = Counter()
_RETRY = f"retry: {RETRY_MILLISECONDS}\n\n"
_BLANK = "\n"
"""An empty line, which clients ignore. It sends the response headers at once."""


async def encode_as_json(event: Event) -> dict[str, Any]:
    """Encode an event as on the WebSocket."""
    return as_json(event)


def parse_position(text: str) -> int:
    """Return the position in the answer that a client names; 0, the start, if it is not a number."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def stream_answer(
    turn_id: UUID, encode: Encode = encode_as_json, *, after: int = 0, ids: bool = False
) -> StreamingHttpResponse:
    """Return the stream of the answer from the position `after` to its end, for sync and async views.

    `ids` adds the lines with which a browser's EventSource reconnects. The caller has checked who may watch.
    """
    if _open[turn_id] >= MAX_STREAMS_PER_ANSWER:
        raise Busy("This answer is being watched too often already.", code="too_many_streams", retry_after=30)
    response = StreamingHttpResponse(_frames(turn_id, encode, after, ids), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache, no-transform"
    response["X-Accel-Buffering"] = "no"  # else nginx collects 4 kB before it sends
    return response


async def _frames(turn_id: UUID, encode: Encode, after: int, ids: bool) -> AsyncIterator[str]:
    if _open[turn_id] >= MAX_STREAMS_PER_ANSWER:  # several passed the check before the first began
        return
    _open[turn_id] += 1
    try:
        yield _RETRY if ids else _BLANK
        last: Event = Token(after, "")
        async for event in with_heartbeats(watch_turn(turn_id, after), HEARTBEAT_SECONDS):
            last = event or _heartbeat(last)
            data = await encode(last)
            if data is not None:
                line = f"id: {last.id}\n" if ids else ""
                yield f"{line}data: {dump({**data, 'id': last.id})}\n\n"
    finally:
        _open[turn_id] -= 1
        if not _open[turn_id]:
            del _open[turn_id]


def _heartbeat(event: Event) -> Event:
    """Return a harmless event that every client knows: the position in the queue again, or an empty piece of text."""
    return event if isinstance(event, Queued) else Token(event.id, "")


async def with_heartbeats(events: AsyncIterator[T], seconds: float) -> AsyncIterator[T | None]:
    """Yield the events, and None after `seconds` without one. Closes `events` at its own end."""
    step = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait({step}, timeout=seconds)
            if done and step.result() is None:
                return
            yield step.result() if done else None
            if done:
                step = asyncio.ensure_future(anext(events, None))
    finally:
        # Repeated, because a library may swallow a cancellation (see streams.Reader).
        while not step.done():
            step.cancel()
            await asyncio.wait({step}, timeout=0.2)
        with contextlib.suppress(asyncio.CancelledError, Exception):
            step.result()
        if hasattr(events, "aclose"):
            await events.aclose()
