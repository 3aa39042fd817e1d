"""Progress bars on a terminal. Elsewhere, as in logs and pipes, nothing is written."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from trees.interchange.progress import Advance, CountDone


@contextmanager
def progress_bar(what: str, total: int, unit: str) -> Iterator[Advance]:
    """Show a bar on standard error. It disappears at the end, and what remains is the command's own last line."""
    is_terminal = sys.stderr.isatty()
    is_size = unit == "B"
    with tqdm(
        desc=what,
        total=total or None,
        unit=unit if is_size else f" {unit}",
        unit_scale=is_size,
        unit_divisor=1024,
        disable=not is_terminal,
        leave=False,
        file=sys.stderr,
    ) as bar:
        yield bar.update


@contextmanager
def counter(what: str, unit: str) -> Iterator[CountDone]:
    """Show how much is done, as `progress_bar` does where nobody knows how much there is."""
    with progress_bar(what, 0, unit) as advance:
        before = 0

        def show(done: int) -> None:
            nonlocal before
            advance(done - before)
            before = done

        yield show
