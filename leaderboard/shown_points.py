"""The points that the header shows a person: kept for a minute, so that pages need no statement for them, and forgotten
when they send or take back an answer and when something of theirs is counted.
"""

from collections.abc import Iterable
from uuid import UUID

from django.core.cache import cache

SECONDS = 60
"""A page that reads while a batch is counted may keep the old number this long."""


def find(person_id: UUID) -> int | None:
    """Return the points that were kept; None if they have to be counted."""
    points = cache.get(_key(person_id))
    return points if isinstance(points, int) else None


def keep(person_id: UUID, points: int) -> None:
    """Keep the points that a page has just counted."""
    cache.set(_key(person_id), points, SECONDS)


def forget(person_ids: Iterable[UUID]) -> None:
    """Let the next page of each of these people count. Call it after the commit."""
    cache.delete_many([_key(person_id) for person_id in person_ids])


def _key(person_id: UUID) -> str:
    return f"header_points:{person_id}"
