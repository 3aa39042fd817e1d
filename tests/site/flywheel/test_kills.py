"""The command that turns the flywheel is killed in any of its steps. Called again, it ends as if nothing had been.

TRAINING_KILLS says how often; `scripts/bench training-kills` takes ten.
"""

import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site_settings
from django.db import connection

from inference.engine import fetching
from inference.evaluating.gate import read_gate
from inference.folders import folder_of_run
from inference.models import Evaluation, ServedModel, TrainingRun
from inference.registry import offer
from oasst.site.flywheel.plan import read_plan
from oasst.site.flywheel.turning import Terminal, turn
from tests.crash.processes import Process, wait_until
from tests.paths import SAMPLE
from tests.site.flywheel.conftest import QUICK, SALT
from trees.interchange.importer import import_files
from trees.interchange.snapshots import filters
from trees.interchange.snapshots.freezing import freeze
from trees.interchange.snapshots.salt import snapshot_pseudonyms
from trees.policies.reading import current_policy

PATIENCE = 300
KILLS = int(os.environ.get("TRAINING_KILLS", "1"))
STEPS = {"sft": 24, "reward": 8, "dpo": 8}
PLAN = [
    *QUICK,
    *(f"{method}.most_steps={steps}" for method, steps in STEPS.items()),
    *(f"{method}.{change}" for method in STEPS for change in ("save_every=2", "precision=float32")),
]
GATE = "rules:\n  - {figure: held_out.bits_per_byte, better_by: 1%}\n"
MOMENTS: list[tuple[str, int]] = [
    *((method, step) for method, steps in STEPS.items() for step in range(0, steps - 2, 2)),
    *(("", tenths) for tenths in range(0, 20, 2)),
]
"""A training and the step of its newest checkpoint; or, in the comparison, tenths of a second since the trainings."""


@pytest.fixture
def two_snapshots(transactional_db: None, settings: Any) -> Iterator[None]:
    """Of the same trees, so that the same plan trains the same weights on both. The home is that of all processes."""
    settings.OASST_CHAT_MODEL, settings.TRAINING_LEAST_FREE_MB = "tiny", 0
    settings.SNAPSHOT_SALT = SALT
    import_files([SAMPLE], policy=current_policy(), license="Apache-2.0")
    for name in ("undisturbed", "killed"):
        freeze(name, filters=filters.Filters(), pseudonyms=snapshot_pseudonyms())
    fetching.fetch("tiny", site_settings.OASST_HOME / "models", lambda line: None)
    offer.forget()
    yield
    for run in TrainingRun.objects.all():
        shutil.rmtree(folder_of_run(run.pk), ignore_errors=True)
    offer.forget()


@pytest.mark.slow  # a process loads torch, and again after each kill
@pytest.mark.usefixtures("two_snapshots")
def test_killed_in_any_step(tmp_path: Path) -> None:
    gate = tmp_path / "gate.yaml"
    gate.write_text(GATE)
    undisturbed = turn("undisturbed", "tiny", read_plan(None, PLAN), read_gate(gate), Terminal())
    changes = [word for change in PLAN for word in ("--set", change)]
    process = Process(
        ["manage.py", "flywheel", "--skip-checks", "--snapshot", "killed", "--gate", str(gate), *changes],
        tmp_path / "flywheel.log",
        variables={"OASST_CHAT_MODEL": "tiny", "TRAINING_LEAST_FREE_MB": "0", "TRAINING_THREADS": "1"},
    )
    try:
        for at in sorted(random.Random(0).sample(range(len(MOMENTS)), KILLS)):
            _wait_for(*MOMENTS[at], process)
            process.kill()
            process.start()
        wait_until(lambda: process.child.poll() is not None, PATIENCE, process.said)
    finally:
        process.kill()
        connection.close()
    assert process.child.returncode == 0, process.said()
    assert _weights("killed") == {method: run.model_digest for method, run in undisturbed.runs.items()}
    (evaluation,) = Evaluation.objects.filter(snapshot="killed")
    assert undisturbed.evaluation is not None
    assert (evaluation.passed, evaluation.reasons) == (True, undisturbed.evaluation.reasons)
    stages = dict(ServedModel.objects.filter(run__snapshot="killed").values_list("name", "stage"))
    assert stages == {"tiny-killed-sft": "nobody", "tiny-killed-dpo": "staff"}


def _weights(snapshot: str) -> dict[str, str]:
    runs = TrainingRun.objects.filter(snapshot=snapshot)
    assert len(runs) == len(STEPS), "a killed step was taken up again, not begun anew"
    return {run.method: run.model_digest for run in runs}


def _wait_for(method: str, point: int, process: Process) -> None:
    """Wait until the training has come so far, or the comparison."""

    def is_there() -> bool:
        if process.child.poll() is not None:
            assert process.child.returncode == 0, process.said()
            return True  # it was quicker, and is called once more
        found = TrainingRun.objects.filter(snapshot="killed", method=method or "dpo").first()
        if found is None or not method:
            return found is not None and found.state == "done"
        return found.state == "done" or _newest_checkpoint(found) >= point

    wait_until(is_there, PATIENCE, process.said)
    time.sleep(0 if method else point / 10)


def _newest_checkpoint(run: TrainingRun) -> int:
    found = (folder_of_run(run.pk) / "checkpoints").glob("checkpoint-*")
    return max((int(one.name.partition("-")[2]) for one in found), default=0)
