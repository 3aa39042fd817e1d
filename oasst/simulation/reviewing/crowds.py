"""Simulated reviewers of several mixes, and the texts that they judge."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from trees.lifecycle.consensus import Skill

GOOD = 0.907  # share of texts: what was accepted in OASST2


@dataclass(frozen=True)
class Mix:
    """For each kind of reviewer their share and skill; `hard` is the share of texts about which everybody guesses
    more, and `hard_skill` how well all judge those.
    """

    description: str
    kinds: tuple[tuple[float, Skill], ...]
    hard: float = 0.0
    hard_skill: float = 0.7


MIXES: dict[str, Mix] = {
    "mixed": Mix(
        "7 of 10 judge well (92 of 100 right), 2 fairly (75), 1 guesses",
        ((0.7, Skill(0.92, 0.92)), (0.2, Skill(0.75, 0.75)), (0.1, Skill(0.5, 0.5))),
    ),
    "careful": Mix("everybody is right in 95 of 100", ((1.0, Skill(0.95, 0.95)),)),
    "careless": Mix("everybody is right in 70 of 100", ((1.0, Skill(0.7, 0.7)),)),
    "lenient": Mix(
        "half judge well (92 of 100), 3 of 10 keep almost everything, 2 of 10 reject too much",
        ((0.5, Skill(0.92, 0.92)), (0.3, Skill(0.3, 0.98)), (0.2, Skill(0.95, 0.7))),
    ),
    "hard": Mix(
        "like mixed, but about 1 of 10 texts everybody is right in 70 of 100 at most",
        ((0.7, Skill(0.92, 0.92)), (0.2, Skill(0.75, 0.75)), (0.1, Skill(0.5, 0.5))),
        hard=0.1,
    ),
}


@dataclass(frozen=True)
class Text:
    number: int
    bad: bool
    hard: bool


class Crowd:
    """Reviewers, of whom a few do most of the work (Zipf's law), and the texts that they judge.

    The same seed gives the same texts, and for each text the same reviewers with the same votes, whatever was decided
    about others: so rules are compared on the same work.
    """

    def __init__(self, mix: Mix, seed: int, *, people: int = 200) -> None:
        self.mix, self.seed = mix, seed
        self._rng = random.Random(f"crowd-{seed}")
        kinds, shares = [skill for _, skill in mix.kinds], [share for share, _ in mix.kinds]
        self.skills = self._rng.choices(kinds, shares, k=people)
        self._people, self._activity = range(people), list(accumulate(1 / (rank + 10) for rank in range(people)))

    def texts(self, number: int) -> Iterator[Text]:
        for index in range(number):
            yield Text(index, self._rng.random() >= GOOD, self._rng.random() < self.mix.hard)

    def votes(self, text: Text) -> Iterator[tuple[int, bool]]:
        """Yield (person, whether they reject) for different people, in the order in which they come to the text."""
        rng, seen = random.Random(f"votes-{self.seed}-{text.number}"), set[int]()
        while len(seen) < len(self._people):
            (person,) = rng.choices(self._people, cum_weights=self._activity)
            if person in seen:
                continue
            seen.add(person)
            yield person, self.rejects(person, rng, bad=text.bad, hard=text.hard)

    def gold_answer(self, person: int, rng: random.Random) -> tuple[bool, bool]:
        """Return (whether the text is bad, whether this person rejects it) for a text whose right verdict is known.

        Half of these texts are bad, as where `tasks.checks` draws them.
        """
        bad = rng.random() < 0.5
        return bad, self.rejects(person, rng, bad=bad, hard=rng.random() < self.mix.hard)

    def rejects(self, person: int, rng: random.Random, *, bad: bool, hard: bool) -> bool:
        right = self.skills[person].finds if bad else self.skills[person].spares
        if hard:
            right = min(right, self.mix.hard_skill)
        return (rng.random() < right) == bad
