"""Simulates a queue of texts that wait for reviews, to compare the orders in which a model's predictions put them."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import exp, log

from oasst.simulation.reviewing.approaches import AUC_90
from oasst.simulation.reviewing.crowds import GOOD, Crowd, Mix, Text
from trees.lifecycle.consensus import ReviewRule, Vote

TEXTS_AN_HOUR = 20.0
REVIEWS_A_TEXT = 2.3  # that today's rule takes of careful reviewers
DEFERRED_HOURS = 24.0
WAVE_EVERY, WAVE_HOURS = 120.0, 4.0  # of junk; the first after two days


@dataclass(frozen=True)
class Load:
    """What arrives: how many reviews are wanted for each that is given, and a wave of junk now and then."""

    name: str
    wanted: float
    wave: float = 0.0  # junk an hour in a wave, as a multiple of the usual texts


LOADS = (
    Load("nine reviews wanted for ten that are given", 0.9),
    Load("the same, and every five days four hours of junk, three times as much as all texts", 0.9, wave=3.0),
    Load("eleven reviews wanted for ten that are given", 1.1),
)


@dataclass
class Waiting:
    text: Text
    since: float
    chance: float  # that reviewers accept it, as the model predicts
    votes: list[Vote] = field(default_factory=list)

    @property
    def urgency(self) -> int:
        """As `trees.lifecycle.demand.priority`: a split vote first, then what one review decides."""
        return 2 if len({vote.rejects for vote in self.votes}) > 1 else int(bool(self.votes))


Key = Callable[[Waiting, float], float]
ORDERS: dict[str, Key] = {
    "oldest first": lambda one, now: 0.0,
    "likely rejected ones a day later": lambda one, now: float(
        one.chance < 0.5 and now - one.since < DEFERRED_HOURS  # what trees.quality.scores does
    ),
    "likely accepted first": lambda one, now: -one.chance,
    "likely rejected first": lambda one, now: one.chance,
    "most uncertain first": lambda one, now: abs(one.chance - 0.5),
}


@dataclass
class Waits:
    """Hours until a decision, of good and of bad texts. What is undecided at the end has waited until then."""

    good: list[float] = field(default_factory=list)
    bad: list[float] = field(default_factory=list)

    def line(self) -> str:
        return "   ".join(
            f"{sum(hours) / len(hours):6.2f} {hours[int(0.95 * len(hours))]:7.2f} {hours[-1]:7.1f}"
            for hours in (sorted(self.good), sorted(self.bad))
        )


def play(mix: Mix, load: Load, key: Key, rule: ReviewRule, *, hours: float, seed: int) -> Waits:
    """Return how long texts wait. The same seed brings the same texts, predictions and votes in every order."""
    crowd, rng = Crowd(mix, seed), random.Random(f"order-{seed}")
    arrivals = list(_arrivals(crowd, load, hours, seed))
    waiting: dict[int, Waiting] = {}
    votes: dict[int, Iterator[tuple[int, bool]]] = {}
    waits, now, arrived = Waits(), 0.0, 0
    while (now := now + rng.expovariate(TEXTS_AN_HOUR * REVIEWS_A_TEXT / load.wanted)) < hours:
        while arrived < len(arrivals) and arrivals[arrived].since <= now:
            number = arrivals[arrived].text.number
            waiting[number], votes[number] = arrivals[arrived], crowd.votes(arrivals[arrived].text)
            arrived += 1
        if not waiting:
            continue
        best = min(waiting.values(), key=lambda one: (-one.urgency, key(one, now), one.since))
        best.votes.append(Vote(next(votes[best.text.number])[1]))
        if rule.verdict(best.votes) is not None:
            del waiting[best.text.number]
            _note(waits, best, now)
    for one in waiting.values():
        _note(waits, one, hours)
    return waits


def _note(waits: Waits, one: Waiting, now: float) -> None:
    (waits.bad if one.text.bad else waits.good).append(now - one.since)


def _arrivals(crowd: Crowd, load: Load, hours: float, seed: int) -> Iterator[Waiting]:
    """Yield texts in the order in which they come, with the predictions of a model with an AUC of 0.90."""
    rng, number = random.Random(f"arrivals-{seed}"), 0
    texts = crowd.texts(10**9)
    now = 0.0
    while now < hours:
        is_wave = load.wave > 0 and now >= 48 and (now - 48) % WAVE_EVERY < WAVE_HOURS
        now += rng.expovariate(TEXTS_AN_HOUR * (1 + load.wave * is_wave))
        usual = next(texts)
        is_junk = is_wave and rng.random() < load.wave / (1 + load.wave)
        text = Text(number, usual.bad or is_junk, usual.hard)
        score = rng.gauss(-AUC_90 / 2 if text.bad else AUC_90 / 2)
        # The model knows the usual share of good texts, not that there is a wave.
        yield Waiting(text, now, 1 / (1 + exp(-score * AUC_90 - log(GOOD / (1 - GOOD)))))
        number += 1
