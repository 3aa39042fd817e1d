"""Many simulated people at once, until the trees that they started are finished.

A few threads act for the people. Each person does one thing at a time, and rests when there is nothing to do or the
site asks them to wait.
"""

import heapq
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from threading import Condition, Thread

from django.db import connection

from oasst.simulation.crowd.ledger import Ledger
from oasst.simulation.crowd.person import Person
from oasst.simulation.crowd.work import Refused, Work
from tasks.kinds import Kind

NOTHING = "no_work"
WAITING_ROUNDS = 4  # times that each person finds nothing before the crowd counts as stuck
IN_A_ROW = 5  # tasks that a person does without a rest if the site offers the next
GONE = frozenset({"task_done", "task_skipped", "task_expired", "410", "404"})  # codes for a task that has ended


@dataclass
class Tally:
    """What happened so far. Protected by the crowd's lock."""

    answers: Counter[Kind] = field(default_factory=Counter)
    skipped: int = 0
    left: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    last_answer_at: float = field(default_factory=time.monotonic)


class Crowd:
    def __init__(self, people: list[Person], *, concurrency: int, trees: int, ledger: Ledger) -> None:
        self.people = people
        self.tally = Tally()
        self.failure: BaseException | None = None
        self._ledger = ledger
        self._lock = Condition()
        self._prompts_wanted = trees
        self._resting: list[tuple[float, int, Person]] = []  # a heap of (until when, tie-breaker, person)
        self._order = count()
        self._busy = 0
        self._stopped = False
        self._threads = [Thread(target=self._work, name=f"crowd-{n}", daemon=True) for n in range(concurrency)]
        for person in people:
            self._rest(person, 0)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop after everybody has finished what they are doing."""
        with self._lock:
            self._stopped = True
            self._lock.notify_all()
        for thread in self._threads:
            thread.join()

    def tidy_up(self) -> None:
        """Skip the tasks that people left open, so that their openings are free."""
        for person in self.people:
            person.left += [person.unwanted] if person.unwanted else []
            while person.left:
                try:
                    following = person.client.skip(person.left.pop(), person.skip_reason())
                    while following is not None and following.kind != Kind.INITIAL_PROMPT:
                        following = self._do(person, following, stop=True)
                except Refused as refusal:
                    self.tally.refusals[refusal.code] += 1

    def want_prompts(self, number: int) -> None:
        """Ask for this many more prompts, to replace rejected ones."""
        with self._lock:
            self._prompts_wanted += number

    def is_out_of_work(self) -> bool:
        """Return True if nothing will change any more: everybody found nothing several times and has no open task."""
        with self._lock:
            return self._busy == 0 and all(
                person.nothing_in_a_row >= WAITING_ROUNDS and not person.left for person in self.people
            )

    def seconds_until_somebody_may_act(self) -> float:
        with self._lock:
            return max(0.0, self._resting[0][0] - time.monotonic()) if self._resting and not self._busy else 0.0

    # --- The threads ---

    def _work(self) -> None:
        try:
            while person := self._next_person():
                rest = 1.0
                try:
                    rest = self._act(person)
                finally:
                    connection.close()  # back to the pool, which may be smaller than the crowd
                    with self._lock:
                        self._busy -= 1
                        self._rest(person, rest)
                        self._lock.notify()
        except BaseException as error:
            self.failure = self.failure or error
            with self._lock:
                self._stopped = True
                self._lock.notify_all()

    def _next_person(self) -> Person | None:
        """Wait for the next person whose rest is over. Return None after `stop`."""
        with self._lock:
            while not self._stopped:
                wait = self._resting[0][0] - time.monotonic() if self._resting else None
                if wait is not None and wait <= 0:
                    self._busy += 1
                    return heapq.heappop(self._resting)[2]
                self._lock.wait(wait)
            return None

    def _rest(self, person: Person, seconds: float) -> None:
        heapq.heappush(self._resting, (time.monotonic() + seconds, next(self._order), person))

    # --- What one person does ---

    def _act(self, person: Person) -> float:
        """Find work and do it. Return the seconds that the person rests afterwards."""
        try:
            work = self._find_work(person)
        except Refused as refusal:
            return self._refused(person, refusal)
        person.nothing_in_a_row = 0
        for remaining in reversed(range(IN_A_ROW)):
            # After a prompt the site would offer another prompt, but the crowd writes only as many as it needs.
            stop = remaining == 0 or self._stopped or work.kind == Kind.INITIAL_PROMPT
            try:
                following = self._do(person, work, stop=stop)
            except Refused as refusal:
                return self._refused(person, refusal)
            if following is None or self._is_unwanted(person, following):
                break
            work = following
        else:
            person.left.append(work)  # the site offered it after a skip: for later
        return 0.0

    def _do(self, person: Person, work: Work, *, stop: bool) -> Work | None:
        """Answer, skip or leave the task. Return what the site offers next."""
        # Prompts are always answered, since the crowd needs them.
        chance = 0.5 if work.kind == Kind.INITIAL_PROMPT else person.rng.random()
        if chance < person.habits.leaves:
            person.left.append(work)
            self._count("left")
            return None
        if chance > 1 - person.habits.skips:
            self._count("skipped")
            return person.client.skip(work, person.skip_reason())
        answer = person.think(work)
        with self._timed(f"answer {work.kind.value}"):
            following = person.client.answer(work, answer, stop=stop)
        self._ledger.acknowledged(person.user.pk, work, answer)
        with self._lock:
            self.tally.answers[work.kind] += 1
            self.tally.last_answer_at = time.monotonic()
        return following

    def _find_work(self, person: Person) -> Work:
        if person.left and (person.nothing_in_a_row or person.rng.random() < 0.5):
            work = person.left.pop()
            try:
                return person.client.open(work.task_id)
            except Refused as refusal:
                if refusal.code not in GONE:
                    person.left.append(work)
                raise
        if self._may_write_prompt():
            try:
                return self._take(person, Kind.INITIAL_PROMPT)
            except Refused as refusal:
                self.want_prompts(1)
                if refusal.code != NOTHING:
                    raise
        work = self._any_work(person)
        if self._is_unwanted(person, work):
            raise Refused(NOTHING, "the site offers only prompt tasks")
        return work

    def _is_unwanted(self, person: Person, work: Work) -> bool:
        """Return True for a prompt task that the site offers for lack of other work, but the crowd does not need."""
        if work.kind != Kind.INITIAL_PROMPT or self._may_write_prompt():
            return False
        person.unwanted = work
        return True

    def _any_work(self, person: Person) -> Work:
        if person.unwanted is None:
            return self._take(person, None)
        unwanted, person.unwanted = person.unwanted, None
        return person.client.skip(unwanted, person.skip_reason()) or self._take(person, None)

    def _take(self, person: Person, kind: Kind | None) -> Work:
        with self._timed("request"):
            return person.client.take(kind)

    def _may_write_prompt(self) -> bool:
        with self._lock:
            self._prompts_wanted -= 1
            if self._prompts_wanted >= 0:
                return True
            self._prompts_wanted = 0
            return False

    def _refused(self, person: Person, refusal: Refused) -> float:
        with self._lock:
            self.tally.refusals[refusal.code] += 1
        if refusal.code != NOTHING:
            return max(0.2, refusal.retry_after)
        person.nothing_in_a_row += 1
        return min(2.0, 0.1 * 2**person.nothing_in_a_row)

    def _count(self, what: str) -> None:
        with self._lock:
            setattr(self.tally, what, getattr(self.tally, what) + 1)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        """Record the duration of the block, unless it raises."""
        began = time.perf_counter()
        yield
        took = time.perf_counter() - began
        with self._lock:
            self.tally.seconds[what].append(took)


def rngs(seed: int | None) -> Iterator[random.Random]:
    """Yield a random generator for each person, repeatable with a seed."""
    base = random.randrange(2**32) if seed is None else seed
    return (random.Random(f"{base}-{number}") for number in count())
