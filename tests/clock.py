"""A clock that stands still until a test moves it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from unittest import mock

from django.utils import timezone


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def forward(self, by: timedelta) -> None:
        self.now += by


@contextmanager
def stopped_clock() -> Iterator[Clock]:
    """Make `timezone.now` return the time of the clock everywhere, including defaults of model fields.

    It replaces the class behind `timezone.now`, because fields keep a reference to the function.
    """
    clock = Clock()

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return clock.now.astimezone(tz)

    with mock.patch.object(timezone, "datetime", Stopped):
        yield clock
