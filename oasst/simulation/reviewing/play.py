"""Reviews simulated texts under one rule, with skills learnt each night, and counts reviews and both kinds of error."""

import random
from dataclasses import dataclass, replace
from math import exp, sqrt

from oasst.simulation.reviewing.crowds import Crowd, Mix, Text
from trees.contributing.skill_estimation import Answers, Estimate, estimate
from trees.lifecycle.consensus import ReviewRule, Skill, Vote, WeightedRule

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


@dataclass
class Outcome:
    reviews: int = 0
    bad: int = 0
    good: int = 0
    bad_accepted: int = 0
    good_rejected: int = 0

    @property
    def reviews_per_text(self) -> float:
        return self.reviews / (self.bad + self.good)


def interval(part: int, whole: int) -> tuple[float, float]:
    """Return the 95 % interval of a share. Source: E. B. Wilson, "Probable Inference", 1927."""
    if not whole:
        return 0.0, 1.0
    z, share = 1.96, part / whole
    middle, width = share + z * z / (2 * whole), z * sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    return (middle - width) / (1 + z * z / whole), (middle + width) / (1 + z * z / whole)


class Play:
    def __init__(self, mix: Mix, approach: Approach, *, seed: int, spread: float = 0.0) -> None:
        self.crowd, self.approach = Crowd(mix, seed, spread=spread), approach
        self._rng = random.Random(f"play-{seed}")
        self.estimate: Estimate[int, str] = Estimate()
        self._answers: list[Answers[int, str]] = []

    def run(self, texts: int) -> Outcome:
        outcome = Outcome()
        for text in self.crowd.texts(texts):
            if self.approach.learns and text.number and text.number % NIGHT == 0:
                self.estimate = estimate(lambda: self._answers, self.estimate, rounds=3)
            accepted, reviews = self._review(text)
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
        for person, rejects in self.crowd.votes(text):
            given.append((person, rejects))
            votes.append(Vote(rejects, self._skill(person)))
            if len(votes) >= rule.most_votes or (self.approach.stops and rule.verdict(votes) is not None):
                break
        if self.approach.learns:
            self._answers.append(Answers(QUESTION, GROUP, given, odds=odds))
        verdict = rule.verdict(votes)
        assert verdict is not None
        return verdict, len(votes)

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
