"""A clock that is set by hand, for the whole process."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.apps import apps
from django.utils import timezone


class Clock:
    """What the process takes for the present."""

    def __init__(self, start: datetime) -> None:
        self.at = start

    def now(self) -> datetime:
        return self.at


@contextmanager
def virtual_clock(start: datetime) -> Iterator[Clock]:
    """Inside the block `timezone.now` and the columns that default to it tell the time of the clock.

    For a command that has its process for itself. What PostgreSQL dates itself would show the real time: the services
    date all that they write.
    """
    clock, real = Clock(start), timezone.now
    dated = [
        field
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if getattr(field, "default", None) is real
    ]
    _tell(clock.now, dated)
    try:
        yield clock
    finally:
        _tell(real, dated)


def _tell(now: Any, fields: list[Any]) -> None:
    timezone.now = now
    for field in fields:
        field.default = now
        field.__dict__.pop("_get_default", None)  # Django keeps what it made of the default
