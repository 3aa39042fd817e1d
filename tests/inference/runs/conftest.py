"""A home of its own, a snapshot in it, and trainings that are asked for."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference.folders import folder_of_snapshot
from inference.models import TrainingRun
from inference.runs import asking
from inference.training.config import from_values
from inference.training.snapshot import SnapshotFolder, open_snapshot
from tests.inference.training.making import rows_of_all_forms, write_snapshot

QUICK: dict[str, Any] = {"most_steps": 8, "save_every": 2, "log_every": 1, "max_length": 128, "precision": "float32"}
Ask = Callable[..., TrainingRun]


@pytest.fixture
def home(settings: Any, tmp_path: Path) -> Path:
    settings.OASST_HOME = tmp_path / "home"
    settings.TRAINING_LEAST_FREE_MB = 0
    return Path(settings.OASST_HOME)


@pytest.fixture
def snapshot(home: Path, tmp_path: Path) -> SnapshotFolder:
    written = write_snapshot(tmp_path / "snapshot", rows_of_all_forms())
    folder = folder_of_snapshot(written.digest)
    folder.parent.mkdir(parents=True)
    return open_snapshot(Path(shutil.move(written.path, folder)))


@pytest.fixture
def ask(db: None, tiny_folder: Path, snapshot: SnapshotFolder) -> Ask:
    """ask("dpo", seed=2) asks for one."""

    def ask(method: str = "sft", by: Any = None, base_folder: Path = tiny_folder, **changes: Any) -> TrainingRun:
        return asking.ask(
            method=method,
            config=from_values(method, {**QUICK, **changes}),
            base="tiny",
            base_folder=base_folder,
            snapshot="2026.1",
            snapshot_digest=snapshot.digest,
            by=by,
        )

    return ask
