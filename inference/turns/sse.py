"""The events of an answer as Server-Sent Events: one stream, whichever encoding its reader knows.

An event's `id` is a place in the answer (inference.turns.events), so a reader who was cut off names the last one that
it saw and goes on there. It stands in the JSON: readers of Open-Assistant know `data:` lines alone, and report an
error for each other line. Who may watch was asked before.
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
from oasst.api.wire_json import dump
from oasst.core.errors import Busy

T = TypeVar("T")
Encode = Callable[[Event], Awaitable[dict[str, Any] | None]]
"""An event as JSON; None for one that this encoding does not know."""

HEARTBEAT_SECONDS = 15.0
RETRY_MILLISECONDS = 2000
MOST_PER_ANSWER = 16
"""In this process. Each stream keeps a connection of the server and one of Redis."""
_open: Counter[UUID] = Counter()
_RETRY = f"retry: {RETRY_MILLISECONDS}\n\n"
_NOTHING = "\n"
"""A line that says nothing to any reader. The head of the answer goes with it, at once."""


async def plain(event: Event) -> dict[str, Any]:
    """Our own encoding, the same as on the socket."""
    return as_json(event)


def place_of(given: str) -> int:
    """The place in the answer that a reader names; 0, the beginning, for what is no number."""
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 10 else 0


def stream_answer(turn_id: UUID, encode: Encode = plain, *, after: int = 0, ids: bool = False) -> StreamingHttpResponse:
    """The answer from the place `after` up to its end. From sync and async views alike.

    `ids` adds the lines from which a browser's EventSource knows where to go on, and when.
    """
    if _open[turn_id] >= MOST_PER_ANSWER:
        raise Busy("This answer is being watched too often already.", code="too_many_streams", retry_after=30)
    response = StreamingHttpResponse(_frames(turn_id, encode, after, ids), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache, no-transform"
    response["X-Accel-Buffering"] = "no"  # nginx would keep the pieces until there are 4 kB of them
    return response


async def _frames(turn_id: UUID, encode: Encode, after: int, ids: bool) -> AsyncIterator[str]:
    if _open[turn_id] >= MOST_PER_ANSWER:  # several were let in before the first of them began
        return
    _open[turn_id] += 1
    try:
        yield _RETRY if ids else _NOTHING
        last: Event = Token(after, "")
        async for event in with_pauses(watch_turn(turn_id, after), HEARTBEAT_SECONDS):
            last = event or _once_more(last)
            data = await encode(last)
            if data is not None:
                line = f"id: {last.id}\n" if ids else ""
                yield f"{line}data: {dump({**data, 'id': last.id})}\n\n"
    finally:
        _open[turn_id] -= 1
        if not _open[turn_id]:
            del _open[turn_id]


def _once_more(event: Event) -> Event:
    """What tells after `event` that the line is alive: the place in the queue again, or an empty piece of text. Every
    reader knows both, and nothing changes by them.
    """
    return event if isinstance(event, Queued) else Token(event.id, "")


async def with_pauses(events: AsyncIterator[T], seconds: float) -> AsyncIterator[T | None]:
    """The events, and None whenever there was none for so long. Ends `events` when it ends."""
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
        # More than once: what a step awaits in a library may lose a cancellation (see streams.Reader).
        while not step.done():
            step.cancel()
            await asyncio.wait({step}, timeout=0.2)
        with contextlib.suppress(asyncio.CancelledError, Exception):
            step.result()
        if hasattr(events, "aclose"):
            await events.aclose()
