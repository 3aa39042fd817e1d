"""Streams that also tell when nothing happens, so that a sign of life can be sent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

T = TypeVar("T")


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
        step.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await step
        if hasattr(events, "aclose"):
            await events.aclose()
