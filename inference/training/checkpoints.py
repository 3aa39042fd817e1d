"""The checkpoints of a training. One that a kill left unfinished is never used."""

import shutil
from pathlib import Path

CHECKPOINTS = "checkpoints"
KEPT = 2
"""How many, so that one is left while the next one is written."""
_COMPLETE = "complete"
"""The file that is written into a checkpoint when all of it is there."""


def mark_complete(checkpoint: Path) -> None:
    (checkpoint / _COMPLETE).touch()


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint, and remove the unfinished ones."""
    complete: list[Path] = []
    for found in folder.glob("checkpoint-*"):
        if (found / _COMPLETE).exists():
            complete.append(found)
        else:
            shutil.rmtree(found, ignore_errors=True)
    return max(complete, key=lambda one: int(one.name.partition("-")[2]), default=None)
