"""Answers in Redis: the newest pieces of text for watchers, and commands for the engines.

Everything here may be lost at any moment, so writers only log Redis errors. Missing pieces come from the row
(inference.turns.watch), and without a command an engine looks half a second later.
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

TTL_SECONDS = 3600
ALIVE_SECONDS = 30
_COMMANDS = "oasst:chat:bell"
_ENGINES = "oasst:chat:engines"
_FIGURES = "oasst:chat:figures"
_TIMEOUT_SECONDS = 2.0
_GRACE_SECONDS = 5.0
"""How much longer than asked Redis may block a reader."""


@dataclass(frozen=True)
class Piece:
    """A piece of text that ends at `id`. None for text means that the answer has ended."""

    id: int
    text: str | None


def _key(turn_id: UUID | str) -> str:
    return f"oasst:chat:turn:{turn_id}"


@cache
def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=1, decode_responses=True)


def append(pieces: list[tuple[str, Piece]]) -> None:
    """Add each piece to the stream of its turn. Pieces that a stream has already are ignored."""
    if not pieces:
        return
    try:
        pipe = _client(settings.REDIS_URL).pipeline(transaction=False)
        for turn_id, piece in pieces:
            if piece.text is None:
                pipe.xadd(_key(turn_id), {"end": "1"})
            else:
                # Redis refuses an id that is not larger than the last, so a resumed answer repeats nothing.
                pipe.xadd(_key(turn_id), {"text": piece.text}, id=f"{piece.id}-0")
            pipe.expire(_key(turn_id), TTL_SECONDS)
        for result in pipe.execute(raise_on_error=False):
            if isinstance(result, Exception) and not isinstance(result, ResponseError):
                raise result
    except RedisError as error:
        log.warning("stream_lost", reason=str(error), pieces=len(pieces))


def end(turn_id: UUID | str) -> None:
    append([(str(turn_id), Piece(0, None))])


def publish_command(word: str = "claim") -> None:
    """Publish a command to the engines: "claim" or "stop <turn>"."""
    try:
        _client(settings.REDIS_URL).publish(_COMMANDS, word)
    except RedisError as error:
        log.warning("bell_not_heard", reason=str(error))


def store_sign_of_life(owner: str, figures: str) -> None:
    """Store an engine's sign of life with its figures (JSON; see inference.turns.status)."""
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


def count_live_engines() -> int:
    """Return the number of engines with a recent sign of life. Raise RedisError."""
    return int(_client(settings.REDIS_URL).zcount(_ENGINES, time.time() - ALIVE_SECONDS, "+inf"))


def signs_of_life() -> list[tuple[str, float, str]]:
    """Return (owner, seconds ago, figures) of each engine with a recent sign of life. Raise RedisError."""
    client = _client(settings.REDIS_URL)
    now = time.time()
    alive: Any = client.zrangebyscore(_ENGINES, now - ALIVE_SECONDS, "+inf", withscores=True)
    figures: Any = client.hgetall(_FIGURES)
    return [(owner, max(now - at, 0.0), figures.get(owner, "{}")) for owner, at in sorted(alive)]


def remove_sign_of_life(owner: str) -> None:
    """Remove the sign of life of an engine that stops."""
    try:
        _client(settings.REDIS_URL).zrem(_ENGINES, owner)
        _client(settings.REDIS_URL).hdel(_FIGURES, owner)
    except RedisError as error:
        log.warning("sign_of_life_lost", reason=str(error))


def listen_for_commands() -> Iterator[str]:
    """Yield the published commands, and "" every half second. Raise RedisError when Redis goes away."""
    client = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, decode_responses=True)
    with client, client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(_COMMANDS)
        while True:
            message = listener.get_message(timeout=0.5)
            yield str(message["data"]) if message else ""


class Reader:
    """Reads one stream for one watcher. Use it with `async with`: it holds a connection."""

    def __init__(self, turn_id: UUID) -> None:
        self._key = _key(turn_id)
        self._client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL,
            decode_responses=True,
            socket_connect_timeout=1,
            socket_timeout=None,  # a timeout makes Python 3.11's wait_for lose cancellations at times
            single_connection_client=True,
            protocol=2,  # `read` expects this format
        )

    async def __aenter__(self) -> "Reader":
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            await self._client.aclose()

    async def read(self, after: int, seconds: float) -> list[Piece]:
        """Wait up to `seconds` for pieces after the position `after`. Raise RedisError, TimeoutError."""
        async with asyncio.timeout(seconds + _GRACE_SECONDS):
            reply: Any = await self._client.xread({self._key: f"{after}-0"}, block=int(seconds * 1000), count=500)
        return [Piece(int(id.partition("-")[0]), fields.get("text")) for _, entries in reply for id, fields in entries]
