"""Filling an empty database with message trees in all states."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import transaction

from leaderboard import rebuild
from oasst.core.errors import Conflict
from oasst.simulation.scale import bulk
from oasst.simulation.scale.life import Life
from oasst.simulation.scale.openings import add_openings
from oasst.simulation.scale.people import FEWEST, People
from oasst.simulation.scale.rows import COLUMNS, Rows
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import MessageTree

LANGUAGES = {"en": 0.45, "es": 0.20, "ru": 0.12, "de": 0.11, "fr": 0.08, "zh": 0.04}
ENDED = {State.READY_FOR_EXPORT: 0.6, State.ABORTED_LOW_GRADE: 0.3, State.HALTED_BY_MODERATOR: 0.1}
UNDER_WAY = {State.GROWING: 0.5, State.INITIAL_PROMPT_REVIEW: 0.3, State.RANKING: 0.2}
WAITING = 0.05  # share of all trees that wait for the lottery, up to the policy's limit for each language
PEOPLE = 0.1  # for each tree
HISTORY, RECENT = timedelta(days=300), timedelta(days=4)
BATCH = 2000  # trees in memory at once

Plan = list[tuple[State, str]]
Name = TypeVar("Name")


@dataclass(frozen=True)
class Filled:
    trees: int
    messages: int
    people: int


def fill(
    *,
    trees: int,
    active: int,
    seed: int,
    policy: TreePolicy,
    now: datetime,
    progress: Callable[[int], None] | None = None,
) -> Filled:
    """Make `trees` trees, `active` of them unfinished, and the users who did the work. All or nothing.

    The same seed and `now` make the same rows. Raise Conflict (`not_empty`) on a database that has trees.
    """
    chance = random.Random(seed)
    people, written, messages, number = People(chance), 0, 0, 0
    with transaction.atomic():
        if MessageTree.objects.exists():
            raise Conflict("There are trees in this database already; this needs an empty one.", code="not_empty")
        for lang, share in LANGUAGES.items():
            crowd = max(FEWEST, round(trees * PEOPLE * share))
            people.join(lang, crowd, now - HISTORY)
            number += crowd
        with bulk.without_indexes(list(COLUMNS)):
            for rows in _prefetch(_batches(trees, active, people, policy, chance, now)):
                bulk.copy(rows.of, COLUMNS)
                written += len(rows.of["trees_messagetree"])
                messages += len(rows.of["trees_message"])
                if progress:
                    progress(written)
        bulk.analyze(["accounts_user", "accounts_consent", *COLUMNS])
    rebuild.rebuild()
    return Filled(trees, messages, number)


def _prefetch(items: Iterator[Rows]) -> Iterator[Rows]:
    """Yield the same items; a thread makes the next one meanwhile, so `items` must not use the database."""
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(next, items, None)
        while (item := future.result()) is not None:
            future = thread.submit(next, items, None)
            yield item


def _batches(
    trees: int, active: int, people: People, policy: TreePolicy, chance: random.Random, now: datetime
) -> Iterator[Rows]:
    ended, running = plan(trees, active, policy, chance)
    rows = Rows(people, policy, chance)
    began = [
        *_spread(now - HISTORY, now - 2 * RECENT, len(ended)),
        *_spread(now - 2 * RECENT, now - RECENT, len(running)),
    ]
    for at, (state, lang) in zip(began, ended + running, strict=True):
        life = Life(state, lang, at, people=people, policy=policy, chance=chance)
        rows.add(life)
        add_openings(life, rows, people=people, chance=chance, now=now)
        if len(rows.of["trees_messagetree"]) == BATCH:
            yield rows
            rows = Rows(people, policy, chance)
    yield rows


def plan(trees: int, active: int, policy: TreePolicy, chance: random.Random) -> tuple[Plan, Plan]:
    """Return (ended trees, unfinished trees), each tree as its state and language."""
    active = min(active, trees)
    waiting = min(trees - active, round(trees * WAITING))
    running = _distribute(UNDER_WAY, active)
    for lang, number in _split(LANGUAGES, waiting).items():
        running += [(State.PROMPT_LOTTERY_WAITING, lang)] * min(
            number, policy.in_language(lang).max_prompt_lottery_waiting
        )
    ended = _distribute(ENDED, trees - len(running))
    chance.shuffle(ended)
    chance.shuffle(running)
    return ended, running


def _distribute(states: dict[State, float], number: int) -> Plan:
    return [
        (state, lang)
        for state, of_state in _split(states, number).items()
        for lang, count in _split(LANGUAGES, of_state).items()
        for _ in range(count)
    ]


def _split(shares: dict[Name, float], number: int) -> dict[Name, int]:
    """Split `number` into whole parts by these shares; the first gets what rounding leaves."""
    parts = {name: int(number * share) for name, share in shares.items()}
    parts[next(iter(parts))] += number - sum(parts.values())
    return parts


def _spread(start: datetime, end: datetime, number: int) -> Iterator[datetime]:
    return (start + (end - start) * index / max(1, number) for index in range(number))
