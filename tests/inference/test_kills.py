"""Engine processes are killed in the middle of answers. Every answer ends complete, and whoever watched saw no gap.

`scripts/bench chat-faults` is the long form.
"""

import asyncio
import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import connection

from inference.events import Event
from inference.models import Turn
from inference.states import FINISHED, TurnState
from inference.watch import watch_turn
from tests.crash.processes import Process
from tests.factories import new_people
from tests.inference.talking import ask, check_joined, content, fresh, text_of

PATIENCE = 600  # seconds for what should take a few
WATCHERS = 8
KILLS = int(os.environ.get("CHAT_KILLS", "2"))
LENGTH = int(os.environ.get("CHAT_TOKENS", "400"))
SETTINGS = [{"max_tokens": LENGTH}] * (WATCHERS - 2) + [
    {"max_tokens": LENGTH, "temperature": 0.9, "top_k": 40, "seed": 3},
    {"max_tokens": LENGTH, "temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.2, "seed": 4},
]


@pytest.fixture
def model(tiny_folder: Path) -> str:
    return os.environ.get("CHAT_FAULTS_MODEL") or str(tiny_folder)


@pytest.fixture
def engine(
    transactional_db: None, chat_on: None, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: object
) -> Iterator[Process]:
    settings.OASST_CHAT_MODEL = model  # type: ignore[attr-defined]
    monkeypatch.setenv("OASST_CHAT_MODEL", model)
    process = Process(["manage.py", "run_engine", "--skip-checks"], tmp_path / "engine.log")
    yield process
    process.kill()
    connection.close()


@pytest.mark.slow
def test_every_answer_ends_complete_and_watchers_notice_nothing(engine: Process) -> None:
    chance = random.Random(19)
    people = new_people(WATCHERS)
    questions = [f"Question {number}" for number in range(WATCHERS)]

    def ask_all() -> list[Turn]:
        return [ask(*each, **more) for each, more in zip(zip(people, questions, strict=True), SETTINGS, strict=True)]

    undisturbed = [text_of(events) for events in watch_together(ask_all())]
    killed = 0
    while killed < KILLS:
        turns = ask_all()
        lengths = sorted(chance.randrange(1, max(map(len, undisturbed))) for _ in range(min(3, KILLS - killed)))
        with ThreadPoolExecutor(1) as watchers:
            watching = watchers.submit(watch_together, turns)
            killed += kill_at(engine, turns, lengths)
            watched = watching.result()
        for turn, events, before in zip(turns, watched, undisturbed, strict=True):
            check_joined(events)
            assert fresh(turn).state == TurnState.COMPLETE, engine.said()
            assert text_of(events) == content(turn) == before


def watch_together(turns: list[Turn]) -> list[list[Event]]:
    async def read(turn: Turn) -> list[Event]:
        return [event async for event in watch_turn(turn.pk)]

    async def everybody() -> list[list[Event]]:
        return await asyncio.wait_for(asyncio.gather(*map(read, turns)), PATIENCE)

    return asyncio.run(everybody())


def kill_at(engine: Process, turns: list[Turn], lengths: list[int]) -> int:
    """Kill the engine whenever some answer has become so long, and start it again. How often it came to that.

    In the main thread: the kernel ends a process with the thread that started it.
    """
    for number, length in enumerate(lengths):
        while (longest := longest_of(turns)) < length:
            if longest < 0:
                return number
            time.sleep(0.05)
        engine.kill()
        engine.start()
    return len(lengths)


def longest_of(turns: list[Turn]) -> int:
    """Characters of the longest answer under way; -1 when all have ended."""
    open_ones = Turn.objects.filter(pk__in=[turn.pk for turn in turns]).exclude(state__in=FINISHED)
    return max((len(turn.text) for turn in open_ones), default=-1)
