"""A counter on the terminal for commands that take long."""

from collections.abc import Callable

from django.core.management.base import OutputWrapper

EVERY = 200


def counter(stderr: OutputWrapper, what: str) -> Callable[[int], None]:
    """Return a function that shows how much is done: `what` such as "trees frozen". Silent outside a terminal."""
    if not stderr.isatty():
        return lambda done: None

    def show(done: int) -> None:
        if done % EVERY == 0:
            stderr.write(f"\r{done} {what}", ending="")

    return show
