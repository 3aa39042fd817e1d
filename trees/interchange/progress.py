"""How long work tells how far it is. The default tells nobody."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Advance = Callable[[int], object]
"""Called with how much was done since the last call."""
Progress = Callable[[str, int, str], AbstractContextManager[Advance]]
"""Takes what is done, how much of it there is, and the unit. The work runs inside the context."""
CountDone = Callable[[int], None]
"""Called with how many trees or files are done so far, where nobody knows how many there are."""


@contextmanager
def no_progress(_what: str, _total: int, _unit: str) -> Iterator[Advance]:
    yield lambda _number: None
