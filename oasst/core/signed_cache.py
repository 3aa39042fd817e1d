"""A cache with signed values, for sessions: an attacker who can write to Redis cannot forge a sign-in.

The signature covers the key, so a value is invalid under another key. An older value of the same key remains valid, so
store only what the database confirms.
"""

from typing import Any

from django.core import signing
from django.core.cache import BaseCache


class SignedCache:
    """The part of Django's cache API that `cached_db` sessions use. Values that are unsigned or no dict are misses."""

    def __init__(self, cache: BaseCache) -> None:
        self._cache = cache

    def __contains__(self, key: str) -> bool:
        return key in self._cache

    def get(self, key: str) -> dict[str, Any] | None:
        return _verified(key, self._cache.get(key))

    async def aget(self, key: str) -> dict[str, Any] | None:
        return _verified(key, await self._cache.aget(key))

    def set(self, key: str, value: dict[str, Any], timeout: float | None) -> None:
        self._cache.set(key, _signed(key, value), timeout)

    async def aset(self, key: str, value: dict[str, Any], timeout: float | None) -> None:
        await self._cache.aset(key, _signed(key, value), timeout)

    def delete(self, key: str) -> None:
        self._cache.delete(key)

    async def adelete(self, key: str) -> None:
        await self._cache.adelete(key)


def _signed(key: str, value: dict[str, Any]) -> dict[str, str]:
    """Return a dict, because an older release takes it for the session itself: an anonymous one instead of an error."""
    return {"signed": signing.dumps(value, salt=f"oasst.signed_cache:{key}")}


def _verified(key: str, cached: object) -> dict[str, Any] | None:
    signed = cached.get("signed") if isinstance(cached, dict) else None
    if not isinstance(signed, str):
        return None
    try:
        value = signing.loads(signed, salt=f"oasst.signed_cache:{key}")
    except signing.BadSignature:
        return None
    return value if isinstance(value, dict) else None
