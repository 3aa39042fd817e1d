"""A cache whose values are believed only if this site wrote them: for data that says who somebody is.

Whoever can write to Redis could otherwise put the state of a sign-in into a session. The signature covers the key, so
the value of one key is no good under another. A value written earlier under the same key still passes, which is why
nothing may stand here that the database would not confirm.
"""

from typing import Any

from django.core import signing
from django.core.cache import BaseCache


class SignedCache:
    """The part of Django's cache API that `cached_db` sessions use. What is not signed, or no dict, is a miss."""

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
    """A dict, since an older release that reads it takes it for the session: one of nobody, and no error."""
    return {"signed": signing.dumps(value, salt=f"oasst.signed_cache:{key}")}


def _verified(key: str, found: object) -> dict[str, Any] | None:
    signed = found.get("signed") if isinstance(found, dict) else None
    if not isinstance(signed, str):
        return None
    try:
        value = signing.loads(signed, salt=f"oasst.signed_cache:{key}")
    except signing.BadSignature:
        return None
    return value if isinstance(value, dict) else None
