"""Readers of the stream of an answer."""

import asyncio
import random
from uuid import uuid4

from asgiref.sync import async_to_sync

from inference.turns.streams import Piece, Reader, append

READERS = 100


def test_a_reader_who_is_cancelled_ends_whatever_it_is_just_doing() -> None:
    """Repeated, because the cancellation is lost only at times, while a command is being sent."""
    turn = uuid4()
    append([(str(turn), Piece(place, "x")) for place in range(1, 200)])
    moments = random.Random(7)

    async def follow() -> None:
        async with Reader(turn) as reader:
            place = 0
            while True:
                pieces = await reader.read(place, 60)
                place = min(place + 1, len(pieces) and pieces[-1].id)

    async def leave() -> None:
        following = asyncio.ensure_future(follow())
        await asyncio.sleep(moments.random() * 0.02)
        following.cancel()
        done, _ = await asyncio.wait({following}, timeout=5)
        following.cancel()
        assert done

    async def all_leave() -> None:
        for _ in range(READERS):
            await leave()

    async_to_sync(all_leave)()
