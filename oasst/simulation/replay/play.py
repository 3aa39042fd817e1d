"""Playing the arrivals, one event after the other, on the virtual clock."""

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count

from oasst.accounts.consent import accept_terms
from oasst.accounts.models import User
from oasst.accounts.registration import create_user
from oasst.core.errors import DomainError
from oasst.simulation.replay.arrivals import Scene, Visit, Wish, visits
from oasst.simulation.replay.clock import Clock, virtual_clock
from oasst.simulation.replay.people import Crowd
from tasks import assignment, capacity, queries, upkeep
from tasks.models import Task
from trees.lifecycle.policy import TreePolicy

START = datetime(2023, 1, 14, tzinfo=UTC)
# The site measures every quarter of an hour; with a hundredth of its people, an hour is often enough.
MEASURE_EVERY = timedelta(hours=1)
CLEAN_UP_EVERY = timedelta(hours=6)


@dataclass
class Played:
    """What happened, besides what the database holds."""

    came: Counter[Wish] = field(default_factory=Counter)
    answered: Counter[Wish] = field(default_factory=Counter)
    refused: Counter[tuple[Wish, str]] = field(default_factory=Counter)  # by wish and reason
    prompts_offered: Counter[str] = field(default_factory=Counter)  # by language
    ended_at: datetime = START


def play(
    scene: Scene,
    policy: TreePolicy,
    *,
    seed: int,
    matched: bool = True,
    progress: Callable[[float], None] | None = None,
) -> Played:
    """Play all visits of the scene. `progress` is called with the share of visits played.

    `matched=False` never measures what languages can carry, so that only the policy limits the supply, as in the
    reference system. The database should be empty. The seed makes it repeatable; it also seeds Python's global
    generator.
    """
    random.seed(seed)
    chance = random.Random(seed)
    with virtual_clock(START) as clock:
        stage = _Stage(scene, policy, chance, clock, matched)
        return stage.play(visits(scene, chance), progress or (lambda share: None))


class _Stage:
    def __init__(self, scene: Scene, policy: TreePolicy, chance: random.Random, clock: Clock, matched: bool) -> None:
        self.policy = policy
        self.clock = clock
        self.matched = matched
        self.crowd = Crowd(policy, chance)
        self.played = Played(ended_at=START + timedelta(weeks=scene.weeks))
        self.people: dict[tuple[str, int], User] = {}
        self.order = count()
        self.due: list[tuple[datetime, int, Callable[[], None]]] = []

    def play(self, arrivals: list[Visit], progress: Callable[[float], None]) -> Played:
        if self.matched:
            self._every(MEASURE_EVERY, capacity.measure)
        self._every(CLEAN_UP_EVERY, lambda: upkeep.expire_tasks(policy=self.policy))
        for number, visit in enumerate(arrivals):
            at = START + timedelta(weeks=visit.at)
            self._catch_up(at)
            self.clock.at = at
            self._come(visit)
            progress(number / len(arrivals))
        self._catch_up(self.played.ended_at)
        return self.played

    def _catch_up(self, until: datetime) -> None:
        """Do everything that is due until this moment."""
        while self.due and self.due[0][0] <= until:
            self.clock.at, _, act = heapq.heappop(self.due)
            act()

    def _later(self, at: datetime, act: Callable[[], None]) -> None:
        heapq.heappush(self.due, (at, next(self.order), act))

    def _every(self, period: timedelta, act: Callable[[], object]) -> None:
        def again() -> None:
            act()
            self._later(self.clock.at + period, again)

        self._later(self.clock.at + period, again)

    def _come(self, visit: Visit) -> None:
        played, wish = self.played, visit.wish
        played.came[wish] += 1
        if wish == "prompt":
            played.prompts_offered[visit.lang] += 1
        user = self._user(visit)
        kind = self.crowd.choose(wish, queries.availability(user, visit.lang, self.policy))
        try:
            task = assignment.request_task(user=user, lang=visit.lang, kind=kind, policy=self.policy)
        except DomainError as error:
            played.refused[wish, _cause(error)] += 1
            return
        if self.crowd.leaves():
            played.refused[wish, "(left without answering)"] += 1
        else:
            ready = self.clock.at + timedelta(minutes=self.crowd.minutes(task))
            self._later(ready, partial(self._answer, task, user, wish))

    def _answer(self, task: Task, user: User, wish: Wish) -> None:
        try:
            self.crowd.answer(task, user)
        except DomainError as error:
            self.played.refused[wish, _cause(error)] += 1
        else:
            self.played.answered[wish] += 1

    def _user(self, visit: Visit) -> User:
        key = visit.lang, visit.person
        if key not in self.people:
            self.people[key] = create_user(email=f"visitor-{visit.person}-{visit.lang}@replay.invalid")
            accept_terms(self.people[key])
        return self.people[key]


def _cause(error: DomainError) -> str:
    nothing = error.details.get("nothing")
    return nothing.title if nothing else f"{error.message} [{error.code}]"
