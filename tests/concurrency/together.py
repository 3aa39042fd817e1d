"""Run functions at the same moment, and run a rival in the middle of a call."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest import mock

from django.db import connection

Result = TypeVar("Result")
TIMEOUT_SECONDS = 60  # seconds; a deadlock fails the test instead of blocking it


def at_once(acts: Sequence[Callable[[], Result]], bound: float = TIMEOUT_SECONDS) -> list[Result | Exception]:
    """Run each act in its own thread and connection, started together. Returns their results or errors, in order."""
    if not connection.in_atomic_block:
        connection.close()  # the pool is for the threads
    results: list[Any] = [AssertionError("did not end")] * len(acts)
    barrier = threading.Barrier(len(acts), timeout=TIMEOUT_SECONDS)

    def run(place: int, act: Callable[[], Result]) -> None:
        try:
            barrier.wait()
            results[place] = act()
        except Exception as error:
            results[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(bound)
    return results


def in_other_connection(act: Callable[[], Result]) -> Result:
    """Run the act in another connection and wait for it."""
    result = at_once([act])[0]
    if isinstance(result, Exception):
        raise result
    return result


@contextmanager
def rival_before(owner: object, name: str, rival: Callable[[], object]) -> Iterator[None]:
    """While inside, the first call of `owner.name` runs the rival first, in its own connection."""
    original = getattr(owner, name)
    waiting = [rival]

    def with_rival(*args: Any, **kwargs: Any) -> Any:
        if waiting:
            in_other_connection(waiting.pop())
        return original(*args, **kwargs)

    with mock.patch.object(owner, name, with_rival):
        yield
    assert not waiting, f"{name} was never called"
