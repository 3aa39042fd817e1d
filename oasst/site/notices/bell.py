"""The number of unread notices beside the bell, which every page shows and which must cost it nothing.

It is cached for a minute and forgotten with each write; a count that races with a write may be old for that long. When
Redis is down each page counts by itself: one statement on a small partial index. Open pages are woken through the
channel layer (`oasst.site.notices.consumers`), which stores nothing: without it the next page load shows the number.
"""

import asyncio
from collections.abc import Collection, Iterable
from uuid import UUID

import structlog
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.core.cache import cache
from django.db import transaction

from oasst.site.notices import queries

LIFETIME = 60  # seconds
MAX_COUNTED = 100  # more are not counted: the bell says "99+"
WAKE_SECONDS = 5
"""How long a writer waits for Redis to wake open pages, for all people of its batch together."""

log = structlog.get_logger(__name__)


def count_unread(person_id: UUID) -> int:
    """Return how many unread notices the person has, at most `MAX_COUNTED`. No statement if it is cached."""
    number = cache.get(_key(person_id))
    if not isinstance(number, int):
        number = len(queries.valid_notices(person_id).filter(read_at=None).values_list("pk")[:MAX_COUNTED])
        cache.set(_key(person_id), number, LIFETIME)
    return number


def shown(unread: int) -> str:
    """Return the number as the bell shows it."""
    return f"{MAX_COUNTED - 1}+" if unread >= MAX_COUNTED else str(unread)


def changed(person_ids: Iterable[UUID]) -> None:
    """After the commit, forget the numbers of these people and wake their open pages. Errors of Redis are ignored."""
    people = set(person_ids)
    if people:
        transaction.on_commit(lambda: _forget_and_wake(people), robust=True)


def group_of(person_id: UUID) -> str:
    """Return the name of the channel group that the person's open pages are in."""
    return f"bell.{person_id.hex}"


def _forget_and_wake(people: Collection[UUID]) -> None:
    cache.delete_many([_key(person_id) for person_id in people])
    try:
        async_to_sync(_wake)(people)
    except Exception as error:  # whatever Redis does, the notices are stored and the next page shows them
        log.warning("bells_not_woken", people=len(people), error=type(error).__name__)


async def _wake(people: Collection[UUID]) -> None:
    layer = get_channel_layer()
    if layer is None:
        return
    async with asyncio.timeout(WAKE_SECONDS):
        for person_id in people:
            await layer.group_send(group_of(person_id), {"type": "bell.changed"})


def _key(person_id: UUID) -> str:
    return f"notices:unread:{person_id}"
