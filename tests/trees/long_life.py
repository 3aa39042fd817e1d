"""The model-based test for any length of time: `scripts/bench trees-model --events 100000 --seed 1`.

Not part of the suite: pytest collects it only by name.
"""

import os
import time

import pytest
from hypothesis import seed

from tests.trees.life import Life
from tests.trees.lifecycle.test_model import live

pytestmark = pytest.mark.django_db
HISTORIES, STEPS = 20, 60  # a round


def test_as_long_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    wanted, first = int(os.environ["MODEL_EVENTS"]), int(os.environ["MODEL_SEED"])
    begun, number = time.monotonic(), 0
    with capsys.disabled():
        while Life.events.total() < wanted:
            seed(first * 1_000_000 + number)(Life)
            live(HISTORIES, STEPS, derandomize=False)
            number += 1
            events, seconds = Life.events.total(), time.monotonic() - begun
            print(f"{events} events in {number * HISTORIES} histories, {seconds:.0f} s", flush=True)  # noqa: T201
        for name, times in sorted(Life.events.items()):
            print(f"{times:8} {name}")  # noqa: T201
