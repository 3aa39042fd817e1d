"""Stop asking a server that fails, and find out when it works again. All processes share what they learn, by Redis.

After some failures in a row the breaker opens: nobody asks. When the pause is over it is half open: one caller asks, as
a probe. If the probe succeeds the breaker closes, else it opens again for twice as long. If Redis is emptied or down
the breaker is closed, and a server that still fails opens it again after as many failures.
"""

import random
import time
from dataclasses import dataclass

from django.core.cache import cache

_REMEMBERED = 24 * 3600  # seconds


class CircuitOpen(Exception):
    """Nobody may ask now. `retry_after` is in seconds."""

    def __init__(self, name: str, retry_after: float) -> None:
        super().__init__(f"{name} failed lately")
        self.retry_after = retry_after


class CircuitBreaker:
    """`ask` before each request, then say on the permit how it went.

    Who repeats a failed request at once says so only after the last try, so that one bad request counts once. A request
    that the server may fail on by itself is no failure: after it, the caller makes one that must succeed and says how
    that went. Else a bad request that returns alone on a quiet site would open the breaker.
    """

    def __init__(
        self, name: str, *, failures: int = 5, pause: float = 30, longest: float = 900, probe_seconds: float = 60
    ) -> None:
        """`failures` in a row open it for `pause` seconds, and at most for `longest` when probes fail. A probe that
        says nothing for `probe_seconds` was killed.
        """
        self.name, self.failures, self.pause, self.longest = name, failures, pause, longest
        self.probe_seconds = probe_seconds
        self._open, self._trips, self._failed, self._probe = (
            f"breaker:{name}:{key}" for key in ("open", "trips", "failed", "probe")
        )

    def ask(self) -> "Permit":
        """Return a permit for one request. Raise CircuitOpen."""
        known = cache.get_many([self._open, self._trips, self._failed])
        if self._open in known:
            raise CircuitOpen(self.name, max(known[self._open] - time.time(), 1))
        is_probe = self._trips in known
        if is_probe and not cache.add(self._probe, 1, timeout=self.probe_seconds):
            raise CircuitOpen(self.name, self.probe_seconds / 4)
        return Permit(self, is_probe=is_probe, was_healthy=not is_probe and self._failed not in known)

    def state(self) -> str:
        """Return "closed", "open" or "half_open"."""
        known = cache.get_many([self._open, self._trips])
        return "open" if self._open in known else "half_open" if self._trips in known else "closed"

    def close(self) -> None:
        cache.delete_many([self._open, self._trips, self._failed, self._probe])

    def count_failure(self) -> int:
        """Count a failure and return how many there were in a row."""
        cache.add(self._failed, 0, timeout=self.longest)
        try:
            return int(cache.incr(self._failed))
        except (ValueError, TypeError):  # Redis was emptied just now, or is down
            return 1

    def open(self, retry_after: float = 0) -> None:
        """Open it for the usual pause, or as long as the server asks for if that is longer, up to `longest`."""
        trips = int(cache.get(self._trips) or 0) + 1
        pause = min(max(self.pause * 2 ** min(trips - 1, 20), retry_after), self.longest)
        pause *= random.uniform(1, 1.25)  # noqa: S311
        if cache.add(self._open, time.time() + pause, timeout=pause):  # not twice for requests that fail together
            cache.set(self._trips, trips, timeout=_REMEMBERED)
        cache.delete(self._probe)

    def is_tripped(self) -> bool:
        return cache.get(self._trips) is not None


@dataclass(frozen=True)
class Permit:
    """The right to send one request."""

    breaker: CircuitBreaker
    is_probe: bool
    was_healthy: bool
    """No failure was known when it was given: a success changes nothing then."""

    def succeeded(self) -> None:
        """A request that began before the breaker opened does not close it."""
        if self.is_probe or not (self.was_healthy or self.breaker.is_tripped()):
            self.breaker.close()

    def failed(self, *, retry_after: float = 0) -> None:
        """`retry_after`: the server asks for so many seconds without requests."""
        if retry_after or self.is_probe or self.breaker.count_failure() >= self.breaker.failures:
            self.breaker.open(retry_after)
