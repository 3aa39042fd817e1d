"""Models of the registry, with files where they need some."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference.models import ServedModel, TrainingRun
from inference.registry import offer

NewModel = Callable[..., ServedModel]


@pytest.fixture(autouse=True)
def fresh_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know nothing from another test, in this process or in Redis."""
    offer.forget()


@pytest.fixture
def home(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.OASST_HOME = tmp_path
    settings.OASST_CHAT_MODEL = "tiny"
    monkeypatch.setattr("oasst.embedded.commands.require_site", lambda home: None)
    return tmp_path


@pytest.fixture
def new_model(db: None, home: Path) -> NewModel:
    """new_model("better") is a fetched model whose files are there."""

    def make(name: str, **columns: Any) -> ServedModel:
        folder = home / "models" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        return ServedModel.objects.create(name=name, **{"origin": "fetched", **columns})

    return make


@pytest.fixture
def new_run(db: None, home: Path) -> Callable[..., TrainingRun]:
    """new_run(method="dpo") is a training that is done."""

    def make(**columns: Any) -> TrainingRun:
        known = {
            "key": "k",
            "method": "sft",
            "base": "HuggingFaceTB/SmolLM2-135M",
            "base_digest": "b" * 64,
            "snapshot": "2026.1",
            "snapshot_digest": "s" * 64,
            "state": TrainingRun.State.DONE,
            "model_digest": "m" * 64,
        }
        run = TrainingRun(**{**known, **columns})
        run.folder = f"training/runs/{run.pk}/model"
        (home / run.folder).mkdir(parents=True)
        (home / run.folder / "config.json").write_text("{}")
        run.save()
        return run

    return make
