"""A model that was trained well, one that knows nothing, and a reward model that likes what the first one says."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from inference.evaluating.evaluating import Question, evaluate
from inference.evaluating.report import Report
from inference.evaluating.settings import Settings, read_settings
from inference.training.base import Training
from inference.training.config import from_values
from inference.training.running import run
from inference.training.snapshot import SnapshotFolder
from tests.inference.training.making import rows_of_all_forms, write_snapshot

QUICK = read_settings(changes=["part=validation", "prompts=4", "answer_length=16", "threads=1", "rounds=100"])
WITHOUT_SAFETY = QUICK.model_copy(update={"safety": False})


@dataclass(frozen=True)
class Trained:
    base: Path
    good: Path
    reward: Path
    snapshot: SnapshotFolder

    def question(self, model: Path, against: Path | None, settings: Settings = WITHOUT_SAFETY) -> Question:
        return Question(
            model=model,
            name="new",
            against=against,
            against_name="old" if against else "",
            reward_model=self.reward,
            snapshot=self.snapshot,
            settings=settings,
        )


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Trained:
    folder = tmp_path_factory.mktemp("evaluated")
    snapshot = write_snapshot(folder / "snapshot", rows_of_all_forms())
    quick = {"learning_rate": 3e-3, "max_length": 128, "precision": "float32"}
    made = {}
    for method, more in {"sft": {"most_steps": 25, "lora": False}, "reward": {"most_steps": 12}}.items():
        config = from_values(method, {**quick, **more})
        training = Training(method, config, tiny_folder, snapshot, folder / method, threads=1, least_free_bytes=0)
        made[method] = run(training).model
    return Trained(tiny_folder, made["sft"], made["reward"], snapshot)


@pytest.fixture(scope="session")
def report(trained: Trained) -> Report:
    """The good model against the one that it was trained from, with safety prompts."""
    return evaluate(trained.question(trained.good, trained.base, QUICK))
