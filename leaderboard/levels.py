"""Levels: a hundred thresholds of points, each a little further than the one before."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

TOP = 100
# The reference system's: the running sum of 1.1521 n + 3, rounded.
THRESHOLDS = (0, *(round(total) for total in accumulate(1.1521 * n + 3 for n in range(1, TOP))))


@dataclass(frozen=True)
class Level:
    number: int
    points: int
    since: int  # points at which it began
    next: int | None  # points at which the next begins; None at the top

    @property
    def missing(self) -> int:
        return self.next - self.points if self.next is not None else 0

    @property
    def percent(self) -> int:
        """How far inside the level."""
        if self.next is None:
            return 100
        return 100 * (self.points - self.since) // (self.next - self.since)


def number_of(points: int) -> int:
    """The level of so many points."""
    return max(1, bisect_right(THRESHOLDS, points))


def level_of(points: int) -> Level:
    number = number_of(points)
    after = THRESHOLDS[number] if number < TOP else None
    return Level(number, points, THRESHOLDS[number - 1], after)
