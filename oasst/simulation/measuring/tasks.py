"""What asking for work and answering cost, at a fixed number of calls a second whatever they take (open loop)."""

import random
import threading
import time
from dataclasses import dataclass, field
from itertools import count

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
    latest: float = 0.0  # seconds that a call began behind its time, at most
    failure: BaseException | None = None
    _turns: "count[int]" = field(default_factory=count)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _began: float = 0.0

    def go(self, people: list[User], seed: int) -> None:
        """Until the time is over. Raises what a thread failed with."""
        self._began = time.perf_counter()
        crews = [people[place::THREADS] for place in range(THREADS)]
        threads = [
            threading.Thread(target=self._work, args=(crew, random.Random(f"{seed} {place}")))
            for place, crew in enumerate(crews)
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
            while self._wait_for_turn():
                person = chance.choice(crew)
                if task := held.pop(person, None):
                    self._answer(task, person, chance)
                elif taken := self._ask(person, chance):
                    held[person] = taken
        except BaseException as failure:
            self.failure = failure
        finally:
            connection.close()

    def _wait_for_turn(self) -> bool:
        with self._lock:
            turn = next(self._turns)
        due = self._began + turn / self.rate
        now = time.perf_counter()
        if due > now:
            time.sleep(due - now)
        else:
            self.latest = max(self.latest, now - due)
        return turn < self.rate * self.seconds and self.failure is None

    def _ask(self, person: User, chance: random.Random) -> Task | None:
        """Any work for half of the calls; else each kind as often, so that each is measured."""
        kind = None if chance.random() < 0.5 else chance.choice(list(Kind))
        try:
            with self.timings.measure("ask for any work" if kind is None else "ask for one kind"):
                return assignment.request_task(user=person, lang=LANG, policy=self.policy, kind=kind)
        except DomainError:
            self.refused += 1
            return None

    def _answer(self, task: Task, person: User, chance: random.Random) -> None:
        answer = TABLE[Kind(task.kind)].answer
        try:
            with self.timings.measure(ANSWERS[answer]):
                if answer == "text":
                    text = f"{texts.prompt(LANG, chance)} ({chance.getrandbits(64):x})"
                    submission.submit_text(task_id=task.pk, user=person, text=text, policy=self.policy)
                elif answer == "labels":
                    labels = {"spam": int(chance.random() < 0.08)}
                    submission.submit_labels(task_id=task.pk, user=person, labels=labels, policy=self.policy)
                else:
                    submission.submit_ranking(
                        task_id=task.pk, user=person, ordered_ids=task.reply_ids, policy=self.policy
                    )
        except DomainError:
            self.refused += 1
        if chance.random() < 0.2:
            with self.timings.measure("availability"):
                queries.availability(person, LANG, self.policy)


def measure_tasks(*, policy: TreePolicy, people: int, rate: float, seconds: float, seed: int) -> Run:
    """Let people of the made data work. A first short run, which fills the caches, is thrown away."""
    crew = [*User.objects.filter(contribution_languages=[LANG]).order_by("email")[:people]]
    Run(policy, rate, 3).go(crew, seed)
    run = Run(policy, rate, seconds)
    run.go(crew, seed + 1)
    return run
