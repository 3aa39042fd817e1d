"""A trained reward model, made once, that likes one of two answers."""

from pathlib import Path

import pytest

from inference.training.base import Training
from inference.training.config import Reward
from inference.training.running import run
from tests.inference.training.making import rows_of_all_forms, write_snapshot


@pytest.fixture(scope="session")
def reward_folder(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("reward")
    snapshot = write_snapshot(folder / "snapshot", rows_of_all_forms())
    config = Reward(most_steps=12, learning_rate=3e-3, max_length=128, precision="float32")
    return run(Training("reward", config, tiny_folder, snapshot, folder / "run", threads=1, least_free_bytes=0)).model
