"""A tiny model, made once, and engines that stop with their test."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from inference.engine import tiny
from inference.engine.batching import Batch, Sizes, Step
from inference.engine.loading import LoadedModel, load
from inference.engine.torch_engine import TorchEngine
from inference.policy import ChatPolicy
from inference.turns.runtime import Runtime
from tests.inference.talking import POLICY

NewEngine = Callable[..., TorchEngine]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny.make(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_folder: Path) -> LoadedModel:
    return load(tiny_folder, name="tiny")


@pytest.fixture
def new_engine(tiny_model: LoadedModel) -> Iterator[NewEngine]:
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


class Brake:
    """Holds back the tokens of an answer after a number of them, until it is released.

    An answer stays under way for as long as a test looks at it, however late the test comes to that.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # More than a normal answer has (1,024 by default), fewer than an endless one.
        self.at = 1400
        self._released = threading.Event()
        # Each model has a batch, which goes with its model.
        self._held = WeakKeyDictionary[Batch, dict[str, Step]]()
        step = Batch.step
        monkeypatch.setattr(Batch, "step", lambda batch, seconds: self._step(batch, seconds, step))

    def hold(self, tokens: int) -> None:
        self.at = tokens
        self._released.clear()

    def release(self) -> None:
        self._released.set()

    def _step(self, batch: Batch, seconds: float, step: Callable[[Batch, float], Step | None]) -> Step | None:
        held = self._held.setdefault(batch, {})
        if self._released.is_set() and held:
            return held.pop(next(iter(held)))
        found = step(batch, seconds)
        if found is None or found.failed or self._released.is_set() or len(found.token_ids) < self.at:
            return found
        held[found.request_id] = found  # each step has all tokens so far, so the last one is enough
        return None


@pytest.fixture
def brake(monkeypatch: pytest.MonkeyPatch) -> Brake:
    """Makes endless answers endless. brake.hold(60) holds others after 60 tokens until brake.release()."""
    return Brake(monkeypatch)


@pytest.fixture
def chat_on(settings: Any) -> None:
    """The site offers the tiny model. There is no engine unless a test starts one."""
    settings.OASST_CHAT_MODEL = "tiny"
    settings.RATE_LIMITS = False


@pytest.fixture
def answering(
    transactional_db: None, chat_on: None, brake: Brake, new_engine: NewEngine
) -> Iterator[Callable[..., Runtime]]:
    """answering(slots=4) starts a runtime on an engine of that size, as a web process or a worker does."""
    started: list[Runtime] = []

    def start(policy: ChatPolicy = POLICY, **sizes: Any) -> Runtime:
        started.append(Runtime(new_engine(**sizes), policy))
        started[-1].start()
        return started[-1]

    yield start
    for runtime in started:
        runtime.stop()
