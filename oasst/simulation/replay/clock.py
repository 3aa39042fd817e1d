"""A virtual clock for the whole process."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.apps import apps
from django.utils import timezone


class Clock:
    def __init__(self, start: datetime) -> None:
        self.at = start

    def now(self) -> datetime:
        return self.at


@contextmanager
def virtual_clock(start: datetime) -> Iterator[Clock]:
    """Let `timezone.now` and model fields that default to it return the time of the clock inside the block.

    Only for a command that has the process to itself. now() in PostgreSQL still returns the real time; the services do
    not use it for what they store.
    """
    clock, real = Clock(start), timezone.now
    fields = [
        field
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if getattr(field, "default", None) is real
    ]
    _patch_now(clock.now, fields)
    try:
        yield clock
    finally:
        _patch_now(real, fields)


def _patch_now(now: Any, fields: list[Any]) -> None:
    timezone.now = now
    for field in fields:
        field.default = now
        field.__dict__.pop("_get_default", None)  # Django caches the default
