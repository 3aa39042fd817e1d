"""How commands that train show how far they are, and end when they are asked to."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from tqdm import tqdm

from inference.models import TrainingRun

if TYPE_CHECKING:  # without the packages that only trainings need
    from inference.training.base import Progress

_SHOWN = ("loss", "accuracy", "eval_loss")


class _Bars:
    """A bar for each training that is heard of, drawn seldom where standard error is no terminal."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._run: UUID | None = None

    def show(self, run: TrainingRun, progress: "Progress") -> None:
        if self._run != run.pk:
            self.close()
            every = 0.5 if sys.stderr.isatty() else 30.0
            self._bar, self._run = tqdm(desc=run.method, unit="step", mininterval=every, file=sys.stderr), run.pk
        self._bar.total = progress.steps
        figures = [f"{name} {progress.figures[name]:.4g}" for name in _SHOWN if name in progress.figures]
        self._bar.set_postfix_str(" ".join(figures), refresh=False)
        self._bar.update(progress.step - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


@contextmanager
def progress_bars() -> Iterator[Callable[[TrainingRun, "Progress"], None]]:
    """Yield what shows how far a training is."""
    bars = _Bars()
    try:
        yield bars.show
    finally:
        bars.close()


@contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """Yield a list that is empty until Ctrl-C or SIGTERM. A second one ends the process as usual."""
    asked: list[int] = []
    before: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, note)
    try:
        yield asked
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
