"""What a training is, and what it tells its caller."""

import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inference.training.config import Common
from inference.training.snapshot import SnapshotFolder


@dataclass(frozen=True)
class Progress:
    step: int
    steps: int
    figures: dict[str, float]
    """Such as loss, accuracy, eval_loss; learned tokens since the beginning as `tokens`."""


@dataclass(frozen=True)
class Training:
    """What to train, on what, with what."""

    method: str
    config: Common
    base: Path
    snapshot: SnapshotFolder
    folder: Path
    threads: int = 0
    """0 for as many as torch takes."""
    least_free_bytes: int = 1_000_000_000
    """A checkpoint is written only if so much stays free."""


@dataclass
class Hooks:
    """What the caller hears and says meanwhile."""

    say: Callable[[Progress], None] = lambda progress: None
    must_stop: Callable[[], bool] = lambda: False
    """Asked at each step. The training then writes a checkpoint and ends."""


@dataclass(frozen=True)
class Done:
    model: Path
    digest: str
    """Of its weights."""
    steps: int
    seconds: float
    """Of this run, without what earlier ones did."""
    figures: dict[str, float]
    funnels: dict[str, Any] = field(default_factory=dict)
    """What became of the rows of each part of the snapshot."""


class Stopped(Exception):
    """The caller asked for it. A checkpoint is there."""


def peak_bytes() -> int:
    """Return the most memory that this process had so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
