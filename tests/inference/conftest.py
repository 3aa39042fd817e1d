"""A tiny model that is made once, and engines on it that end with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inference.engine import tiny
from inference.engine.batching import Sizes
from inference.engine.loading import Loaded, load
from inference.engine.torch_engine import TorchEngine

NewEngine = Callable[..., TorchEngine]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny.make(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_folder: Path) -> Loaded:
    return load(tiny_folder, name="tiny")


@pytest.fixture
def new_engine(tiny_model: Loaded) -> Iterator[NewEngine]:
    """new_engine(slots=4) starts one on the tiny model."""
    started: list[TorchEngine] = []

    def start(**sizes: Any) -> TorchEngine:
        context = sizes.pop("context", 2048)
        started.append(TorchEngine(tiny_model, sizes=Sizes(**sizes), context=context))
        return started[-1]

    yield start
    for engine in started:
        engine.close()


@pytest.fixture
def engine(new_engine: NewEngine) -> TorchEngine:
    return new_engine()
