"""Reviews simulated texts under one rule, with skills learnt each night, and counts reviews and both kinds of error."""

import random
from dataclasses import astuple, dataclass, replace
from math import exp

from oasst.simulation.reviewing.crowds import Crowd, Mix, Text
from trees.contributing.skill_estimation import Answers, Estimate, estimate
from trees.lifecycle.consensus import ReviewRule, Skill, Vote, WeightedRule
from trees.quality.assessment import wilson

NIGHT = 1000  # texts between two estimates
FULL = 3  # reviews of texts for which reviewing does not stop early
QUESTION, GROUP = "reject", "en"


@dataclass(frozen=True)
class Approach:
    """A way to decide: the rule, and what it knows before it begins with a text."""

    name: str
    rule: ReviewRule
    stops: bool = True  # False: all wanted reviews are given
    learns: bool = False
    full_share: float = 0.0  # of texts that always get the full number of reviews
    model: float | None = None  # the distance in standard deviations at which a model tells good and bad texts apart
    gold_share: float = 0.0  # of all reviews that people give, those about texts with a known verdict


@dataclass
class Outcome:
    reviews: int = 0  # those of gold texts included
    bad: int = 0
    good: int = 0
    bad_accepted: int = 0
    good_rejected: int = 0

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def reviews_per_text(self) -> float:
        return self.reviews / (self.bad + self.good)


def interval(part: int, whole: int) -> tuple[float, float]:
    """Return the 95 % interval of a share."""
    return wilson(part / whole, whole) if whole else (0.0, 1.0)


class Play:
    def __init__(self, mix: Mix, approach: Approach, *, seed: int) -> None:
        self.crowd, self.approach = Crowd(mix, seed), approach
        self._rng, self._gold_rng = random.Random(f"play-{seed}"), random.Random(f"gold-{seed}")
        self.estimate: Estimate[int, str] = Estimate()
        self._answers: list[Answers[int, str]] = []

    def run(self, texts: int, after: int = 0) -> Outcome:
        """Review so many texts and count those after the first ones, by which skills become known."""
        outcome = Outcome()
        for text in self.crowd.texts(texts):
            if self.approach.learns and text.number and text.number % NIGHT == 0:
                self.estimate = estimate(lambda: self._answers, self.estimate, rounds=3)
            accepted, reviews = self._review(text)
            if text.number < after:
                continue
            outcome.reviews += reviews
            outcome.bad += text.bad
            outcome.good += not text.bad
            outcome.bad_accepted += text.bad and accepted
            outcome.good_rejected += not text.bad and not accepted
        return outcome

    def _review(self, text: Text) -> tuple[bool, int]:
        odds = self._odds(text)
        rule = self._rule(odds)
        votes: list[Vote] = []
        given: list[tuple[int, bool]] = []
        gold = 0
        for person, rejects in self.crowd.votes(text):
            gold += self._reviews_gold(person)
            given.append((person, rejects))
            votes.append(Vote(rejects, self._skill(person)))
            if len(votes) >= rule.most_votes or (self.approach.stops and rule.verdict(votes) is not None):
                break
        if self.approach.learns:
            self._answers.append(Answers(QUESTION, GROUP, given, odds=odds))
        verdict = rule.verdict(votes)
        assert verdict is not None
        return verdict, len(votes) + gold

    def _reviews_gold(self, person: int) -> int:
        """Let this person review their share of gold texts before the next other one; return how many."""
        number = 0
        while self._gold_rng.random() < self.approach.gold_share:
            bad, rejects = self.crowd.gold_answer(person, self._gold_rng)
            self._answers.append(Answers(QUESTION, GROUP, [(person, rejects)], truth=bad))
            number += 1
        return number

    def _skill(self, person: int) -> Skill | None:
        return self.estimate.well_known_skill(QUESTION, GROUP, person) if self.approach.learns else None

    def _odds(self, text: Text) -> float:
        """Return by how much a model's score makes it more likely than usual that the text is bad."""
        if self.approach.model is None:
            return 1.0
        distance = self.approach.model
        score = self._rng.gauss(distance / 2 if text.bad else -distance / 2)
        return exp(score * distance)  # the likelihood ratio of two normal distributions

    def _rule(self, odds: float) -> ReviewRule:
        rule = self.approach.rule
        if not isinstance(rule, WeightedRule):
            return rule
        full = self._rng.random() < self.approach.full_share
        least = max(rule.least, FULL) if full else rule.least
        return replace(rule, least=least, accept_odds=rule.accept_odds / odds, reject_odds=rule.reject_odds / odds)
