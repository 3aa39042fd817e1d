"""A worker that reads messages is killed at random points. In the end every text has every reading, once."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db.models import QuerySet
from django.utils import timezone

from tests.crash.processes import Process, wait_until
from tests.factories import new_person, new_prompt
from tests.fake_classifier import FakeClassifier
from trees.enrichment import pairs
from trees.models import Message, MessageReading, NearDuplicate, ReadingKind, TextSketch, WaitingComparison

KILLS, TEXTS = int(os.environ.get("READING_KILLS", "3")), 120
PATIENCE = 120
WORKER = """
import django, time
django.setup()
from trees import jobs
while True:
    jobs.queue_unread_texts()
    for kind in ("toxicity", "personal_data", "language", "wording"):
        jobs.read_texts(kind)
    jobs.find_near_duplicates()
    time.sleep(0.02)
"""


@pytest.fixture
def server() -> Iterator[FakeClassifier]:
    server = FakeClassifier()
    yield server
    server.close()


def count_read() -> int:
    return readings().filter(result__isnull=False).count()


def readings() -> QuerySet[MessageReading]:
    """Return the readings of the kinds that need no model on this machine."""
    return MessageReading.objects.filter(kind__in=ReadingKind.values)


def all_are_compared() -> bool:
    sketches = TextSketch.objects.count()
    return sketches == Message.objects.count() and not WaitingComparison.objects.exists()


def forget_claims() -> None:
    """Let time pass: what the killed worker held is due again."""
    cache.delete_many([pairs.MARK, *(f"trees.enrichment.{kind}" for kind in (*ReadingKind, "wording"))])
    MessageReading.objects.filter(due_at__isnull=False).update(due_at=timezone.now())


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_every_text_is_read_once_whatever_is_killed(tmp_path: Path, server: FakeClassifier) -> None:
    dice, alice = random.Random(16), new_person("Alice")
    for _ in range(TEXTS):
        new_prompt(alice)
    first, again = (
        new_prompt(alice, f"How do I bake a good sourdough bread at home{end}") for end in ("?", ", please?")
    )
    worker = Process(["-c", WORKER], tmp_path / "worker.log", variables={"TOXICITY_URL": server.url})
    try:
        for _ in range(KILLS):
            before = count_read()
            wait_until(lambda known=before: count_read() > known, PATIENCE, worker.said)  # type: ignore[misc]
            time.sleep(dice.random() / 10)
            worker.kill()
            for _ in range(5):
                new_prompt(alice)
            forget_claims()
            worker.start()
        total = Message.objects.count() * len(ReadingKind)
        wait_until(lambda: count_read() == total, PATIENCE, lambda: f"{count_read()} of {total}:\n{worker.said()}")
        wait_until(all_are_compared, PATIENCE, worker.said)
    finally:
        worker.kill()
    assert readings().count() == total
    assert NearDuplicate.objects.filter(first=first, second=again).count() == 1
    assert not readings().exclude(due_at=None, error="", attempts=0).exists()
