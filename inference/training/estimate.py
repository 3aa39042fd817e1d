"""What a training will cost on this machine, found by doing its first steps in a folder that is thrown away."""

import math
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inference.training import running
from inference.training.base import Hooks, Training, peak_bytes

_STEPS = 3


@dataclass(frozen=True)
class Estimate:
    samples: int
    steps: int
    seconds: float
    """Of computing, without loading the model and without evaluations."""
    peak_bytes: int
    """Of this process so far: the memory that the training needs, if nothing larger ran before."""


def estimate(training: Training) -> Estimate:
    """Return what it will cost; takes as long as loading the model and a few steps. Raise TrainingError as `run`."""
    config = training.config
    short = config.model_copy(update={"most_steps": _STEPS})
    with tempfile.TemporaryDirectory() as scratch:
        trainer, _ = running.prepare(replace(training, folder=Path(scratch), config=short), Hooks())
        clock = _clock()
        trainer.add_callback(clock)
        trainer.train()
    each_epoch = math.ceil(len(trainer.get_train_dataloader()) / config.accumulation)
    steps = config.most_steps or math.ceil(each_epoch * config.epochs)
    # The first step also pays for what is set up once.
    typical = sorted(clock.seconds)[len(clock.seconds) // 2]
    return Estimate(len(trainer.train_dataset), steps, steps * typical, peak_bytes())


def _clock() -> Any:
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.seconds: list[float] = []
            self._since = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self._since = time.monotonic()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.seconds.append(time.monotonic() - self._since)

    return Clock()
