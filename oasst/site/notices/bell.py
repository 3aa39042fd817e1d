"""The number of unread notices beside the bell, which every page shows and which must cost it nothing.

It is cached for a minute and forgotten with each write; a count that races with a write may be old for that long. When
Redis is down each page counts by itself: one statement on a small partial index.
"""

from collections.abc import Iterable
from uuid import UUID

from django.core.cache import cache
from django.db import transaction

from oasst.site.notices import queries

LIFETIME = 60  # seconds
MOST = 100  # more are not counted: the bell says "99+"


def count_unread(person_id: UUID) -> int:
    """Return how many unread notices the person has, at most `MOST`. No statement if it is cached."""
    number = cache.get(_key(person_id))
    if not isinstance(number, int):
        number = len(queries.valid_notices(person_id).filter(read_at=None).values_list("pk")[:MOST])
        cache.set(_key(person_id), number, LIFETIME)
    return number


def forget(person_ids: Iterable[UUID]) -> None:
    """Forget the numbers of these people after the commit."""
    keys = [_key(person_id) for person_id in set(person_ids)]
    if keys:
        transaction.on_commit(lambda: cache.delete_many(keys), robust=True)


def _key(person_id: UUID) -> str:
    return f"notices:unread:{person_id}"
