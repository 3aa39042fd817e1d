"""One process answers with several models: loaded when asked for, swapped without losing a turn, failing alone."""

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection

from inference.chats import asking
from inference.engine import torch_engine
from inference.engine.base import Engine, EngineError
from inference.engine.batching import _OneAfterAnother
from inference.models import ServedModel, Turn
from inference.registry import offer
from inference.registry.stages import set_stage
from inference.turns import models_in_memory, status
from inference.turns.events import Done, Failed
from inference.turns.models_in_memory import ModelsInMemory, NotFetched
from inference.turns.states import TurnState
from oasst.accounts.models import User
from tests.inference.conftest import Brake
from tests.inference.talking import (
    GREEDY,
    POLICY,
    ask,
    content,
    fresh,
    last,
    new_chat,
    wait_for_state,
    wait_for_text,
    wait_until,
    watch,
)

StartModels = Callable[..., ModelsInMemory]


class Opening:
    """Opens engines on the tiny model under any name, and breaks those in `broken`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broken: dict[str, Exception] = {}
        self.opened: list[str] = []
        self.engines: dict[str, Any] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()

    def __call__(self, name: str) -> Engine:
        self.began.set()
        self.gate.wait(60)
        if name in self.broken:
            raise self.broken[name]
        engine = torch_engine.open_engine(self.folder, name=name, slots=4)
        self.opened.append(name)
        self.engines[name] = weakref.ref(engine._loaded.model)
        return engine


@pytest.fixture
def opening(tiny_folder: Path) -> Opening:
    return Opening(tiny_folder)


@pytest.fixture
def serving(
    transactional_db: None, chat_on: None, brake: Brake, opening: Opening, tmp_path: Path, settings: Any
) -> Iterator[StartModels]:
    """serving() starts what a web process starts. Models "second", "third" and "fourth" have files."""
    offer.forget()
    settings.OASST_HOME = tmp_path
    for name in ("second", "third", "fourth"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "config.json").write_text("{}")
        ServedModel.objects.create(name=name, origin="fetched")
    started: list[ModelsInMemory] = []

    def start(**options: Any) -> ModelsInMemory:
        started.append(ModelsInMemory(opening, POLICY, **{"at_most": 2, **options}))
        started[-1].start()
        return started[-1]

    yield start
    opening.gate.set()
    for models in started:
        models.stop()
        models._thread.join(60)
    offer.forget()
    connection.close()


def asked_with(person: User, model: str, **settings: Any) -> Turn:
    """A turn as a person asks for it who was offered this model at that time."""
    chat, chosen = new_chat(person), {**GREEDY, **settings}
    with patch.object(asking, "require_offered"):
        return asking.start_turn(
            user=person, chat_id=chat.pk, text="Tell me something", policy=POLICY, chosen=chosen, model=model
        )


def test_a_model_is_put_before_everybody_while_the_old_one_answers(
    alice: User, bob: User, mo: User, serving: StartModels, brake: Brake, opening: Opening
) -> None:
    """The stream of the old model and the question that waits for it both end on it; new ones get the new model."""
    brake.hold(30)
    models = serving()
    streaming = ask(alice)
    wait_for_text(streaming)
    queued = asked_with(bob, "tiny")
    set_stage("second", "all", by=None)
    new = ask(mo)
    assert fresh(new).model == "second"
    wait_until(lambda: models.names == ["tiny", "second"], "not loaded")
    assert fresh(streaming).state == TurnState.IN_PROGRESS
    brake.release()
    for turn in (streaming, queued, new):
        assert isinstance(last(watch(turn.pk)), Done) and content(turn)
    assert [fresh(turn).model for turn in (streaming, queued, new)] == ["tiny", "tiny", "second"]
    assert content(streaming) == content(queued) == content(new), "the same weights, the same greedy text"
    wait_until(lambda: len(status.engines()) == 2, "no signs of life")
    signs = status.engines()
    assert {sign.model for sign in signs} == {"tiny", "second"} and len({sign.process for sign in signs}) == 1
    assert all(sign.model_memory > 100_000 for sign in signs)
    assert status.memory_of(signs) in {sign.memory for sign in signs}, "a process counts once"


def test_a_withdrawn_model_ends_its_queue(alice: User, serving: StartModels, opening: Opening) -> None:
    waiting = asked_with(alice, "second")
    set_stage("second", "staff", by=None)
    set_stage("second", "nobody", by=None)
    serving()
    assert isinstance(last(watch(waiting.pk)), Done)
    assert opening.opened == ["tiny", "second"]


def test_loading_does_not_hold_up_answers(alice: User, bob: User, serving: StartModels, opening: Opening) -> None:
    models = serving()
    wait_until(lambda: models.names == ["tiny"], "not loaded")
    opening.gate.clear()
    opening.began.clear()
    waiting = asked_with(bob, "second")
    assert opening.began.wait(60)
    assert isinstance(last(watch(ask(alice).pk)), Done), "answered while the other model is being loaded"
    assert fresh(waiting).state == TurnState.PENDING
    opening.gate.set()
    assert isinstance(last(watch(waiting.pk)), Done)


def test_a_broken_model_fails_its_own_turns_only(
    alice: User, bob: User, serving: StartModels, opening: Opening
) -> None:
    opening.broken = {
        "second": EngineError("The model in /srv/secret/second cannot be loaded."),
        "third": ZeroDivisionError("of the test"),
    }
    serving()
    for name in opening.broken:
        failed = last(watch(asked_with(alice, name).pk))
        assert isinstance(failed, Failed) and failed.code == "model_not_loaded"
        assert failed.message == (
            f"The model {name} cannot answer now: it could not be started. Choose another model, or ask again later."
        )
    assert isinstance(last(watch(ask(bob).pk)), Done)
    again = last(watch(asked_with(alice, "second").pk))
    assert isinstance(again, Failed), "at once, without another try"


def test_without_memory_for_it(alice: User, serving: StartModels, opening: Opening) -> None:
    serving(shortage=lambda name: "The model needs 9 GB." if name == "second" else "")
    failed = last(watch(asked_with(alice, "second").pk))
    assert isinstance(failed, Failed) and "more memory than this machine has free" in failed.message
    assert "second" not in opening.opened


def test_a_model_that_is_being_fetched_is_waited_for(
    alice: User, serving: StartModels, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models_in_memory, "RETRY_SECONDS", 0.1)
    opening.broken = {"tiny": NotFetched("run fetch_model")}
    models = serving()
    turn = ask(alice)
    wait_until(lambda: "tiny" in models._failures, "not tried")
    assert fresh(turn).state == TurnState.PENDING
    opening.broken = {}
    assert isinstance(last(watch(turn.pk)), Done)


def test_the_one_used_longest_ago_gives_its_place(alice: User, serving: StartModels, opening: Opening) -> None:
    models = serving(at_most=3)
    for name in ("second", "third", "second", "fourth"):
        assert isinstance(last(watch(asked_with(alice, name).pk)), Done)
    assert models.names == ["tiny", "second", "fourth"]
    assert opening.opened == ["tiny", "second", "third", "fourth"]

    def is_freed() -> bool:
        gc.collect()
        return opening.engines["third"]() is None

    wait_until(is_freed, "the memory of an unloaded model is still held")


def test_a_model_that_is_never_idle_gives_its_place_too(
    alice: User, bob: User, serving: StartModels, brake: Brake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends its answers and begins no more; what waits for it is answered when its place is free again."""
    monkeypatch.setattr(models_in_memory, "RESIDENCE_SECONDS", 1.0)  # none would begin with 0
    brake.hold(30)
    models = serving()
    first = asked_with(alice, "second")
    wait_for_text(first)
    waiting = asked_with(bob, "third")
    wait_until(lambda: models._loaded["second"].runtime.is_draining, "not asked to end")
    late = asked_with(alice, "second")
    time.sleep(models_in_memory.LOOK_SECONDS * 2)
    assert fresh(late).state == TurnState.PENDING
    brake.release()
    for turn in (first, waiting, late):
        assert isinstance(last(watch(turn.pk)), Done)


def test_the_end_of_the_process_loses_nothing(
    alice: User, bob: User, serving: StartModels, brake: Brake, opening: Opening
) -> None:
    brake.hold(30)
    models = serving()
    turns = [ask(alice), asked_with(bob, "second")]
    for turn in turns:
        wait_for_text(turn)
    models.stop()
    assert {fresh(turn).state for turn in turns} == {TurnState.PENDING}
    brake.release()
    serving()
    for turn in turns:
        wait_for_state(turn, TurnState.COMPLETE)


def test_models_compute_one_after_another_in_the_order_of_asking() -> None:
    lock, order, at_once = _OneAfterAnother(), list[int](), 0
    ready = threading.Barrier(3)

    def compute(number: int) -> None:
        nonlocal at_once
        ready.wait(60)
        for _ in range(200):
            with lock:
                at_once += 1
                assert at_once == 1
                order.append(number)
                at_once -= 1

    threads = [threading.Thread(target=compute, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(order) == [0] * 200 + [1] * 200 + [2] * 200
    with pytest.raises(RuntimeError), lock:
        raise RuntimeError
    with lock:
        pass
