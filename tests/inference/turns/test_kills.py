"""Engine processes are killed in the middle of answers. Every answer ends complete, and whoever watched saw no gap. Web
processes are killed under their callers, and what those had asked for is answered for nobody.

`scripts/bench chat-faults` is the long form.
"""

import asyncio
import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.db.models import F

from inference.models import Turn
from inference.turns.events import Event
from inference.turns.runtime import Runtime
from inference.turns.states import FINISHED, OPEN, TurnState
from inference.turns.watch import watch_turn
from oasst.accounts import tokens
from oasst.accounts.models import User
from oasst.embedded.sockets import listen
from tests.crash.processes import Process, serve
from tests.factories import new_people
from tests.inference.talking import (
    ENDLESS,
    POLICY,
    ask,
    check_joined,
    content,
    fresh,
    send_completion,
    text_of,
    wait_until,
)

PATIENCE = 600  # seconds; it should take a few
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
    """Kill and restart the engine whenever an answer has reached a length. Return how often.

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
    """Return the characters of the longest open answer; -1 when all have ended."""
    open_ones = Turn.objects.filter(pk__in=[turn.pk for turn in turns]).exclude(state__in=FINISHED)
    return max((len(turn.text) for turn in open_ones), default=-1)


WANTED_SECONDS = 3


class Door:
    """A web server without an engine."""

    def __init__(self, model: str, log: Path) -> None:
        self.listener = listen("127.0.0.1", 0)
        variables = {
            "DJANGO_SETTINGS_MODULE": "tests.inference.impatient",
            "OASST_CHAT_MODEL": model,
            "OASST_ENGINE": "worker",
            "WANTED_SECONDS": str(WANTED_SECONDS),
        }
        self.process = serve(self.listener, log, variables)

    def ask(self, secret: str, stream: bool) -> socket.socket:
        """A completion asked for byte by byte; the connection, with nothing read from it yet."""
        body = {"messages": [{"role": "user", "content": "Hi"}], "stream": stream, **ENDLESS}
        return send_completion(self.listener.getsockname(), secret, body, timeout=PATIENCE)

    def end(self) -> None:
        self.process.kill()
        self.listener.close()


@pytest.fixture
def door(transactional_db: None, chat_on: None, tmp_path: Path) -> Iterator[Door]:
    one = Door("tiny", tmp_path / "web.log")
    yield one
    one.end()
    connection.close()


@pytest.mark.slow
def test_what_a_killed_web_process_leaves_behind_is_answered_for_nobody(
    door: Door, alice: User, answering: Callable[..., Runtime]
) -> None:
    secret = tokens.create_token(alice, name="laptop", days=7)[1]
    lines = [door.ask(secret, stream) for stream in (True, False, True, False)]
    mine = Turn.objects.filter(user=alice)
    wait_until(lambda: mine.count() == len(lines), "not asked")
    answering(replace(POLICY, answers_at_once=2), slots=4)
    waiting = mine.filter(state=TurnState.PENDING)
    long_after = F("queued_at") + timedelta(seconds=2 * WANTED_SECONDS)
    wait_until(lambda: mine.filter(wanted_until__gt=long_after).count() == len(lines), "not renewed")
    wait_until(lambda: waiting.count() == 2 and mine.filter(state=TurnState.IN_PROGRESS).count() == 2, "not begun")
    door.process.kill()
    wait_until(lambda: not mine.filter(state__in=OPEN).exists(), "still to be answered")
    assert set(mine.values_list("state", flat=True)) == {TurnState.STOPPED}
    assert mine.filter(began_at=None).count() == 2, "begun for nobody"
    for line in lines:
        line.close()
