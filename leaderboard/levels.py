"""Levels: a hundred thresholds of points with growing distances."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

TOP = 100
# As in the reference system: the running sum of 1.1521 n + 3, rounded.
THRESHOLDS = (0, *(round(total) for total in accumulate(1.1521 * n + 3 for n in range(1, TOP))))


@dataclass(frozen=True)
class Level:
    number: int
    points: int
    since: int  # points where it begins
    next: int | None  # points where the next begins; None at the top

    @property
    def missing(self) -> int:
        return self.next - self.points if self.next is not None else 0

    @property
    def percent(self) -> int:
        """Progress within the level."""
        if self.next is None:
            return 100
        return 100 * (self.points - self.since) // (self.next - self.since)


def number_of(points: int) -> int:
    """Return the number of the level for these points."""
    return max(1, bisect_right(THRESHOLDS, points))


def level_of(points: int) -> Level:
    number = number_of(points)
    after = THRESHOLDS[number] if number < TOP else None
    return Level(number, points, THRESHOLDS[number - 1], after)
