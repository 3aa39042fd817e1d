"""Trainings that only count, for tests of what is around them."""

from collections.abc import Callable
from pathlib import Path

from inference.training.base import Done, Hooks, Progress, Stopped, Training

STEPS = 10


class Counting:
    """Counts steps, keeps a checkpoint of each second one, and calls `at_step` before it tells of a step."""

    def __init__(self, at_step: Callable[[int], object] = lambda step: None, steps: int = STEPS) -> None:
        self.done: list[int] = []
        self._at_step, self._steps = at_step, steps

    def __call__(self, training: Training, hooks: Hooks) -> Done:
        checkpoint, model = training.folder / "checkpoint", training.folder / "model"
        training.folder.mkdir(parents=True, exist_ok=True)
        for step in range(_read(checkpoint) + 1, self._steps + 1):
            self.done.append(step)
            self._at_step(step)
            must_stop = hooks.must_stop()
            hooks.say(Progress(step, self._steps, {"loss": 1 / step, "learning_rate": 0.1, "epoch": step / 10}))
            if step % 2 == 0 or must_stop:
                checkpoint.write_text(str(step))
            if must_stop:
                raise Stopped
        hooks.say(Progress(self._steps, self._steps, {"eval_loss": 0.5, "eval_runtime": 3.0}))
        model.mkdir(exist_ok=True)
        (model / "config.json").write_text("{}")
        figures = {"loss": 1 / self._steps, "eval_loss": 0.5}
        return Done(model, "d" * 64, self._steps, 1.0, figures, {"train": {"rows": 9, "left_out": {"empty": 2}}})


def _read(checkpoint: Path) -> int:
    return int(checkpoint.read_text()) if checkpoint.exists() else 0
