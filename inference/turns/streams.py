"""The Redis side of an answer: the last pieces of its text for those who watch, and a bell for the engines.

Everything here may be lost at any moment. Pieces that are missing are read from the row (inference.turns.watch), and a
bell that nobody hears only means that an engine looks half a second later. So errors of Redis end here.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

import redis
import redis.asyncio
import structlog
from django.conf import settings
from redis.exceptions import RedisError, ResponseError

log = structlog.get_logger(__name__)

KEPT_SECONDS = 3600
ALIVE_SECONDS = 30
_BELL = "oasst:chat:bell"
_ENGINES = "oasst:chat:engines"
_FIGURES = "oasst:chat:figures"
_SECONDS = 2.0
_GRACE_SECONDS = 5.0
"""For so long beyond what it was told to wait Redis may keep a reader."""


@dataclass(frozen=True)
class Piece:
    """A piece of text that ends at `id`; None for text means that the answer is over and the row says how."""

    id: int
    text: str | None


def _key(turn_id: UUID | str) -> str:
    return f"oasst:chat:turn:{turn_id}"


@cache
def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=1, decode_responses=True)


def append(pieces: list[tuple[str, Piece]]) -> None:
    """Add each piece to the stream of its turn. What a stream has already, it keeps."""
    if not pieces:
        return
    try:
        pipe = _client(settings.REDIS_URL).pipeline(transaction=False)
        for turn_id, piece in pieces:
            if piece.text is None:
                pipe.xadd(_key(turn_id), {"end": "1"})
            else:
                # Redis refuses ids that are not larger than the last: a resumed answer says nothing twice.
                pipe.xadd(_key(turn_id), {"text": piece.text}, id=f"{piece.id}-0")
            pipe.expire(_key(turn_id), KEPT_SECONDS)
        for result in pipe.execute(raise_on_error=False):
            if isinstance(result, Exception) and not isinstance(result, ResponseError):
                raise result
    except RedisError as error:
        log.warning("stream_lost", reason=str(error), pieces=len(pieces))


def end(turn_id: UUID | str) -> None:
    append([(str(turn_id), Piece(0, None))])


def ring(word: str = "claim") -> None:
    """Tell the engines that there is something to do: "claim", or "stop <turn>"."""
    try:
        _client(settings.REDIS_URL).publish(_BELL, word)
    except RedisError as error:
        log.warning("bell_not_heard", reason=str(error))


def sign(owner: str, figures: str) -> None:
    """An engine tells that it lives, and how it does (JSON; see inference.turns.status)."""
    try:
        client = _client(settings.REDIS_URL)
        client.zadd(_ENGINES, {owner: time.time()})
        client.hset(_FIGURES, owner, figures)
        dead = client.zrangebyscore(_ENGINES, 0, time.time() - ALIVE_SECONDS)
        if dead:
            client.zrem(_ENGINES, *dead)
            client.hdel(_FIGURES, *dead)
    except RedisError as error:
        log.warning("sign_of_life_lost", reason=str(error))


def engines_alive() -> int:
    """How many engines gave a sign of life lately. Raises RedisError."""
    return int(_client(settings.REDIS_URL).zcount(_ENGINES, time.time() - ALIVE_SECONDS, "+inf"))


def signs() -> list[tuple[str, float, str]]:
    """(owner, seconds ago, figures) of each engine that gave a sign of life lately. Raises RedisError."""
    client = _client(settings.REDIS_URL)
    now = time.time()
    alive: Any = client.zrangebyscore(_ENGINES, now - ALIVE_SECONDS, "+inf", withscores=True)
    said: Any = client.hgetall(_FIGURES)
    return [(owner, max(now - at, 0.0), said.get(owner, "{}")) for owner, at in sorted(alive)]


def forget(owner: str) -> None:
    """An engine ends as it should."""
    try:
        _client(settings.REDIS_URL).zrem(_ENGINES, owner)
        _client(settings.REDIS_URL).hdel(_FIGURES, owner)
    except RedisError as error:
        log.warning("sign_of_life_lost", reason=str(error))


def bells() -> Iterator[str]:
    """The words of `ring` as they come, and "" now and then. Raises RedisError when Redis goes away."""
    client = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, decode_responses=True)
    with client, client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(_BELL)
        while True:
            message = listener.get_message(timeout=0.5)
            yield str(message["data"]) if message else ""


class Reader:
    """One watcher's view of one stream. Use it with `async with`; it holds a connection."""

    def __init__(self, turn_id: UUID) -> None:
        self._key = _key(turn_id)
        self._client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL,
            decode_responses=True,
            socket_connect_timeout=1,
            socket_timeout=None,  # with one, Python 3.11's wait_for loses the cancellation of who watches, at times
            single_connection_client=True,
            protocol=2,  # the shape of answers that `read` expects
        )

    async def __aenter__(self) -> "Reader":
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            await self._client.aclose()

    async def read(self, after: int, seconds: float) -> list[Piece]:
        """What comes behind the place `after`; waits so long for something. Raises RedisError, TimeoutError."""
        async with asyncio.timeout(seconds + _GRACE_SECONDS):
            found: Any = await self._client.xread({self._key: f"{after}-0"}, block=int(seconds * 1000), count=500)
        return [Piece(int(place.partition("-")[0]), fields.get("text")) for _, all in found for place, fields in all]
