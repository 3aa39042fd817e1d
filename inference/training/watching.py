"""What a training tells its caller at each step, and what ends it early."""

import math
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from inference.training.base import Hooks, Progress, Training
from inference.training.checkpoints import mark_complete
from inference.training.errors import TrainingError

_BYTES_OF_A_WEIGHT = 12
"""A trained weight and its two moments of Adam, in float32."""


class Watch(TrainerCallback):
    """Hands figures on, asks whether to stop, and ends a training that diverged."""

    def __init__(self, training: Training, hooks: Hooks) -> None:
        self._training, self._hooks = training, hooks

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> TrainerControl:
        if self._hooks.must_stop():
            control.should_save = control.should_training_stop = True
        return control

    def on_log(
        self, args: Any, state: TrainerState, control: TrainerControl, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        figures = {name: float(value) for name, value in (logs or {}).items() if isinstance(value, int | float)}
        wrong = [name for name, value in figures.items() if not math.isfinite(value)]
        if wrong:
            raise TrainingError(
                f"At step {state.global_step} {wrong[0]} is no number any more: a smaller learning_rate may help.",
                code="diverged",
            )
        self._hooks.say(Progress(state.global_step, state.max_steps, figures))

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        args.distributed_state.wait_for_everyone()  # each of several processes writes a part
        if state.is_world_process_zero:
            mark_complete(Path(args.output_dir) / f"checkpoint-{state.global_step}")


def require_space(folder: Path, model: Any, least_free: int) -> None:
    """Raise TrainingError (`disk`) if a checkpoint and the model leave less than `least_free` bytes."""
    trained = sum(weights.numel() for weights in model.parameters() if weights.requires_grad)
    all_ = sum(weights.numel() * weights.element_size() for weights in model.parameters())
    needed, free = trained * _BYTES_OF_A_WEIGHT + all_, shutil.disk_usage(folder).free
    if free - needed < least_free:
        raise TrainingError(
            f"The disk of {folder} has {free / 1e9:.1f} GB left, and this needs {needed / 1e9:.1f} GB beside "
            f"{least_free / 1e9:.1f} GB that stay free.",
            code="disk",
        )
