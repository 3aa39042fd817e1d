"""Signs of life of the processes that train, so that a page can say that nobody does what waits."""

from django.core.cache import cache

_KEY = "inference.trainer_alive"
_SECONDS = 30


def note_alive() -> None:
    """Call it several times in half a minute. Does nothing without Redis."""
    cache.set(_KEY, 1, _SECONDS)


def is_alive() -> bool:
    """Return whether a process that trains gave a sign of life lately; False without Redis."""
    return bool(cache.get(_KEY))
