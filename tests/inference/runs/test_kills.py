"""The process that trains is killed at random steps. The model is the one of a training that nobody disturbed."""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from inference.folders import folder_of_run, folder_of_snapshot
from inference.models import TrainingRun
from inference.runs import asking
from inference.training.base import Training
from inference.training.config import from_values
from inference.training.running import run as train
from inference.training.snapshot import SnapshotFolder, open_snapshot
from tests.crash.processes import Process, wait_until
from tests.inference.training.making import rows_of_all_forms, write_snapshot

STEPS, PATIENCE = 20, 300
KILLS = int(os.environ.get("TRAINING_KILLS", "1"))
CONFIG: dict[str, Any] = {
    "most_steps": STEPS,
    "save_every": 2,
    "log_every": 1,
    "epochs": 100.0,
    "max_length": 128,
    "precision": "float32",
    "lora": False,
    "learning_rate": 1e-3,
}


@pytest.fixture
def snapshot(tmp_path: Path) -> Iterator[SnapshotFolder]:
    """In the home that the process has, too."""
    written = write_snapshot(tmp_path / "snapshot", rows_of_all_forms())
    folder = folder_of_snapshot(written.digest)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(written.path, folder, dirs_exist_ok=True)
    yield open_snapshot(folder)
    shutil.rmtree(folder)
    for run in TrainingRun.objects.all():
        shutil.rmtree(folder_of_run(run.pk), ignore_errors=True)


@pytest.mark.slow
def test_killed_at_random_steps(
    transactional_db: None, tiny_folder: Path, snapshot: SnapshotFolder, tmp_path: Path
) -> None:
    """Slow: the process loads torch after each kill."""
    config, chance = from_values("sft", CONFIG), random.Random(149)
    undisturbed = train(Training("sft", config, tiny_folder, snapshot, tmp_path / "run", threads=1, least_free_bytes=0))
    run = asking.ask(
        method="sft",
        config=config,
        base="tiny",
        base_folder=tiny_folder,
        snapshot="2026.1",
        snapshot_digest=snapshot.digest,
    )

    def stored() -> TrainingRun:
        return TrainingRun.objects.get(pk=run.pk)

    variables = {"OASST_TRAINING": "on", "TRAINING_LEAST_FREE_MB": "0"}
    process = Process(
        ["manage.py", "run_trainer", "--skip-checks", "--once"], tmp_path / "trainer.log", variables=variables
    )
    try:
        for at in sorted(chance.sample(range(4, STEPS - 4), KILLS)):
            wait_until(lambda: _furthest(run) >= at, PATIENCE, process.said)  # noqa: B023
            process.kill()
            process.start()
        wait_until(lambda: stored().state not in ("waiting", "running"), PATIENCE, process.said)
    finally:
        process.kill()
        connection.close()
    done = stored()
    assert (done.state, done.error, done.step) == ("done", "", STEPS), process.said()
    assert done.model_digest == undisturbed.digest
    assert list(done.points.order_by("step").values_list("step", flat=True))[-1] == STEPS


def _furthest(run: TrainingRun) -> int:
    """Return the step of the newest checkpoint."""
    found = (folder_of_run(run.pk) / "checkpoints").glob("checkpoint-*")
    return max((int(one.name.partition("-")[2]) for one in found), default=0)
