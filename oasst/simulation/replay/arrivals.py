"""Who comes when and what for: the numbers of the reference system's first twelve weeks, scaled down.

OASST1 was collected in twelve weeks: 161,443 messages in 66,497 trees, 461,292 reviews, 13,500 people (abstract and
data card). The number of rankings is not published; about 10,000 trees were fully ranked, with nine rankings each. The
distribution over people and days is assumed: a few people do most, and fewer come toward the end.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

Wish = Literal["prompt", "reply", "review", "ranking"]
ARRIVALS: dict[Wish, int] = {"prompt": 66_497, "reply": 94_946, "review": 461_292, "ranking": 90_000}
PEOPLE = 13_500
# Shares of the three largest languages. At this scale the others would have no people.
LANGUAGES = {"en": 0.572, "es": 0.320, "ru": 0.108}
WEEKS_OF_DATA = 12
FIRST_WEEK, LAST_WEEK = 1.5, 0.5  # times the average
FEWEST_PEOPLE = 8  # in a language


@dataclass(frozen=True)
class Scene:
    """The scale of a replay, and factors on the reference's numbers."""

    weeks: float = WEEKS_OF_DATA
    scale: float = 0.01
    prompts: float = 1
    replies: float = 1
    reviews: float = 1
    rankings: float = 1

    def number_of(self, wish: Wish) -> float:
        factors = {"prompt": self.prompts, "reply": self.replies, "review": self.reviews, "ranking": self.rankings}
        return ARRIVALS[wish] * factors[wish] * self.scale * self.weeks / WEEKS_OF_DATA

    def people_in(self, lang: str) -> int:
        return max(FEWEST_PEOPLE, round(PEOPLE * self.scale * LANGUAGES[lang]))


@dataclass(frozen=True, order=True)
class Visit:
    """One person comes to do one thing."""

    at: float  # weeks since the start
    lang: str
    person: int  # number within the language; 0 comes most often
    wish: Wish


def visits(scene: Scene, chance: random.Random) -> list[Visit]:
    """Return all visits ordered by time."""
    return sorted(visit for lang in LANGUAGES for visit in _visits_in(lang, scene, chance))


def _visits_in(lang: str, scene: Scene, chance: random.Random) -> Iterator[Visit]:
    # As uneven as in open projects: the n-th most active person does 1/n of what the first does.
    weights = list(accumulate(1 / (rank + 1) for rank in range(scene.people_in(lang))))
    people = range(len(weights))
    for wish in ARRIVALS:
        expected = scene.number_of(wish) * LANGUAGES[lang]
        for _ in range(int(expected) + (chance.random() < expected % 1)):
            person = chance.choices(people, cum_weights=weights)[0]
            yield Visit(scene.weeks * _moment(chance), lang, person, wish)


def _moment(chance: random.Random) -> float:
    """Draw a number from 0 to 1, rarer toward 1."""
    while True:
        moment = chance.random()
        if chance.random() * FIRST_WEEK < FIRST_WEEK + (LAST_WEEK - FIRST_WEEK) * moment:
            return moment
