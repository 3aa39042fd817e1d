"""Measuring requests for work and answers at a fixed number of calls per second, however long they take (open loop)."""

import random
import threading
import time
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from django.db import connection

from oasst.accounts.models import User
from oasst.core.errors import DomainError
from oasst.simulation.measuring.timing import Timings
from oasst.simulation.scale import texts
from tasks import assignment, queries, submission
from tasks.kinds import TABLE, Kind
from tasks.models import Task
from trees.lifecycle.policy import TreePolicy

LANG = "en"
THREADS = 4
ANSWERS = {"text": "send a text", "labels": "send a review", "ranking": "send a ranking"}


@dataclass
class Run:
    """One measurement; its threads share it."""

    policy: TreePolicy
    rate: float
    seconds: float
    timings: Timings = field(default_factory=Timings)
    refused: int = 0
    latest: float = 0.0  # the largest delay of a call's start, in seconds
    failure: BaseException | None = None
    _numbers: "count[int]" = field(default_factory=count)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _began: float = 0.0

    def go(self, people: list[User], seed: int) -> None:
        """Run until the time is over. Raise the error of a thread."""
        self._began = time.perf_counter()
        threads = [
            threading.Thread(target=self._work, args=(people[number::THREADS], random.Random(f"{seed} {number}")))
            for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failure:
            raise self.failure

    def _work(self, crew: list[User], chance: random.Random) -> None:
        held: dict[User, Task] = {}
        try:
            while self._wait_until_due():
                user = chance.choice(crew)
                if task := held.pop(user, None):
                    self._answer(task, user, chance)
                elif taken := self._ask(user, chance):
                    held[user] = taken
        except BaseException as failure:
            self.failure = failure
        finally:
            connection.close()

    def _wait_until_due(self) -> bool:
        with self._lock:
            number = next(self._numbers)
        due = self._began + number / self.rate
        now = time.perf_counter()
        if due > now:
            time.sleep(due - now)
        else:
            self.latest = max(self.latest, now - due)
        return number < self.rate * self.seconds and self.failure is None

    def _ask(self, user: User, chance: random.Random) -> Task | None:
        """Ask for any work in half of the calls, else for a random kind, so that each is measured."""
        kind = None if chance.random() < 0.5 else chance.choice(list(Kind))
        try:
            with self.timings.measure("ask for any work" if kind is None else "ask for one kind"):
                return assignment.request_task(user=user, lang=LANG, policy=self.policy, kind=kind)
        except DomainError:
            self.refused += 1
            return None

    def _answer(self, task: Task, user: User, chance: random.Random) -> None:
        answer = TABLE[Kind(task.kind)].answer
        arguments: dict[str, Any] = {"task_id": task.pk, "user": user, "policy": self.policy}
        try:
            with self.timings.measure(ANSWERS[answer]):
                if answer == "text":
                    text = f"{texts.prompt(LANG, chance)} ({chance.getrandbits(64):x})"
                    submission.submit_text(text=text, **arguments)
                elif answer == "labels":
                    submission.submit_labels(labels={"spam": int(chance.random() < 0.08)}, **arguments)
                else:
                    submission.submit_ranking(ordered_ids=task.reply_ids, **arguments)
        except DomainError:
            self.refused += 1
        if chance.random() < 0.2:
            with self.timings.measure("availability"):
                queries.availability(user, LANG, self.policy)


def measure_tasks(*, policy: TreePolicy, people: int, rate: float, seconds: float, seed: int) -> Run:
    """Let users of the made-up data work. A short first run fills the caches and is not measured."""
    crew = [*User.objects.filter(contribution_languages=[LANG]).order_by("email")[:people]]
    Run(policy, rate, 3).go(crew, seed)
    run = Run(policy, rate, seconds)
    run.go(crew, seed + 1)
    return run
