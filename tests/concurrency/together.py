"""Running things at the same moment, and a rival in the middle of a call."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest import mock

from django.db import connection

Result = TypeVar("Result")
BOUND = 60  # seconds: a deadlock fails the test instead of hanging it


def at_once(acts: Sequence[Callable[[], Result]], bound: float = BOUND) -> list[Result | Exception]:
    """Each act in a thread and connection of its own, let loose together. What each gave or raised, in order."""
    if not connection.in_atomic_block:
        connection.close()  # the pool is for the threads
    results: list[Any] = [AssertionError("did not end")] * len(acts)
    barrier = threading.Barrier(len(acts), timeout=BOUND)

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


def elsewhere(act: Callable[[], Result]) -> Result:
    """Run the act in another connection and wait for it."""
    result = at_once([act])[0]
    if isinstance(result, Exception):
        raise result
    return result


@contextmanager
def rival_before(owner: object, name: str, rival: Callable[[], object]) -> Iterator[None]:
    """While inside, the first call of `owner.name` lets the rival act first, in a connection of its own."""
    original = getattr(owner, name)
    waiting = [rival]

    def with_rival(*args: Any, **kwargs: Any) -> Any:
        if waiting:
            elsewhere(waiting.pop())
        return original(*args, **kwargs)

    with mock.patch.object(owner, name, with_rival):
        yield
    assert not waiting, f"{name} was never called"
