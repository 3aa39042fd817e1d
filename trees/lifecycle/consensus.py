"""Group decisions: acceptance by reviewers, order by ranked pairs. Pure functions, no database."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

from trees.labels import LANG_MISMATCH, SPAM

Candidate = TypeVar("Candidate")


def is_rejecting(labels: Mapping[str, float | None]) -> bool:
    """Return True if these labels are a vote to reject the message.

    Half or more counts as yes; an unanswered label (null) counts as no.
    """
    return any((labels.get(name) or 0) >= 0.5 for name in (SPAM, LANG_MISMATCH))


def is_accepted(rejecting: int, reviews: int, threshold: float) -> bool:
    """Return True if the share of reviewers who accept is above `threshold` (2 of 3 passes 0.6, 1 of 3 does not)."""
    # One division avoids rounding errors: 1 - 7/10 > 0.3 would be true in floating point.
    return (reviews - rejecting) / reviews > threshold


class Skill(NamedTuple):
    """How often a reviewer rejects bad texts (`finds`) and keeps good ones (`spares`), from 0 to 1."""

    finds: float
    spares: float

    def chance(self, rejects: bool, bad: bool) -> float:
        """Return the probability of this vote about a bad or a good text."""
        reject = self.finds if bad else 1 - self.spares
        return reject if rejects else 1 - reject


class Vote(NamedTuple):
    """One review as a vote. `skill` is what was known of the reviewer when they gave it, if the policy weighs votes."""

    rejects: bool
    skill: Skill | None = None


class ReviewedMessage(Protocol):
    """The part of a message that a rule needs: prompts have no parent."""

    @property
    def pk(self) -> UUID: ...

    @property
    def parent_id(self) -> UUID | None: ...


class ReviewRule(ABC):
    """How reviewers decide about a message. In all methods `votes` are in their order of arrival."""

    @property
    @abstractmethod
    def most_votes(self) -> int:
        """With so many votes the outcome is final."""

    @abstractmethod
    def verdict(self, votes: Sequence[Vote]) -> bool | None:
        """Return True for accepted, False for rejected, None while another review is wanted."""

    @abstractmethod
    def as_data(self) -> dict[str, Any]:
        """Return the rule for the event of a decision; `rule_from_data` reads it."""

    def decision(self, votes: Sequence[Vote]) -> bool | None:
        """Return what these votes decided in their order of arrival: late votes change nothing once it is settled."""
        results = (self.verdict(votes[:number]) for number in range(1, len(votes) + 1))
        return next((result for result in results if result is not None), None)

    def votes_needed(self, votes: Sequence[Vote]) -> int:
        """Return how many more reviews could settle it at the soonest; so many are requested at once."""
        for more in range(max(0, self.most_votes - len(votes)) + 1):
            for outcome in (False, True):
                if self.verdict([*votes, *[Vote(outcome, SUREST)] * more]) is not None:
                    return more
        return 0


@dataclass(frozen=True)
class MajorityRule(ReviewRule):
    """So many reviews decide about a message; `threshold` is the share of accepting reviewers to be exceeded."""

    wanted: int
    threshold: float

    @property
    def most_votes(self) -> int:
        return self.wanted

    def verdict(self, votes: Sequence[Vote]) -> bool | None:
        """Return the outcome; early only when accepting all and rejecting all missing votes would end the same way."""
        rejecting, missing = count_rejecting(votes), max(0, self.wanted - len(votes))
        total = len(votes) + missing
        if total == 0:
            return None
        best = is_accepted(rejecting, total, self.threshold)
        worst = is_accepted(rejecting + missing, total, self.threshold)
        return best if best == worst else None

    def as_data(self) -> dict[str, Any]:
        return {"wanted": self.wanted, "threshold": self.threshold}


@dataclass(frozen=True)
class WeightedRule(ReviewRule):
    """Reviewing goes on until one outcome is sure enough, by the skills of those who voted.

    Votes are taken as independent of each other (Dawid and Skene, 1979); stopping is Wald's sequential test (A. Wald,
    "Sequential Tests of Statistical Hypotheses", 1945) with a limit for each kind of error.
    """

    accept_odds: (
        float  # accept when the votes are at most so many times as likely about a bad message as about a good one
    )
    reject_odds: float  # reject when they are at least so many times as likely
    least: int
    most: int  # with so many votes, the more likely outcome wins
    average: Skill  # of voters of whom too little was known

    @property
    def most_votes(self) -> int:
        return self.most

    def verdict(self, votes: Sequence[Vote]) -> bool | None:
        if len(votes) < self.least:
            return None
        odds = self.odds_bad(votes)
        if odds <= self.accept_odds:
            return True
        if odds >= self.reject_odds:
            return False
        return odds < 1 if len(votes) >= self.most else None

    def odds_bad(self, votes: Sequence[Vote]) -> float:
        """Return how many times as likely these votes are about a bad message as about a good one."""
        odds = 1.0
        for vote in votes:
            skill = vote.skill or self.average
            odds *= skill.chance(vote.rejects, True) / skill.chance(vote.rejects, False)
        return odds

    def as_data(self) -> dict[str, Any]:
        return asdict(self) | {"average": list(self.average)}


SUREST = Skill(0.98, 0.98)
"""Nobody is trusted more than this, so that no single vote outweighs all others."""


def vote_of(labels: Mapping[str, float | None], finds: float | None, spares: float | None) -> Vote:
    """Return the vote of a review, from its columns."""
    return Vote(is_rejecting(labels), None if finds is None or spares is None else Skill(finds, spares))


def count_rejecting(votes: Iterable[Vote]) -> int:
    return sum(vote.rejects for vote in votes)


def rule_from_data(data: Mapping[str, Any]) -> ReviewRule:
    """Return the rule that an event recorded. Raise KeyError if it recorded none."""
    if "accept_odds" not in data:
        return MajorityRule(data["wanted"], data["threshold"])
    values = {field.name: data[field.name] for field in fields(WeightedRule)}
    return WeightedRule(**{**values, "average": Skill(*data["average"])})


def ranked_pairs(rankings: Iterable[Sequence[Candidate]], candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return the consensus order, best first, by Tideman's ranked pairs.

    Each ranking lists ids from best to worst and counts only for the pairs that it contains, so an older vote does not
    remove a reply that it never saw. Candidates that share no pair with any other are left out.

    Ties: equal margins are locked in ascending order of the candidates, so the smaller id wins a tie. Source: T. N.
    Tideman, "Independence of clones as a criterion for voting rules", 1987; the reference system breaks ties the same
    way.
    """
    pool = sorted(set(candidates))  # type: ignore[type-var]
    margins = _margins(rankings, pool)
    compared = {candidate for pair in margins for candidate in pair}
    contenders = [candidate for candidate in pool if candidate in compared]
    # Every ordered pair with a margin of 0 or more, strongest first; the sort is stable over ascending ids.
    majorities = [
        (margins.get((a, b), 0), a, b) for a in contenders for b in contenders if a != b and margins.get((a, b), 0) >= 0
    ]
    majorities.sort(key=lambda majority: -majority[0])
    beats = _lock([(a, b) for _, a, b in majorities])
    return sorted(contenders, key=lambda candidate: -len(beats.get(candidate, ())))


def _margins(
    rankings: Iterable[Sequence[Candidate]], pool: Sequence[Candidate]
) -> dict[tuple[Candidate, Candidate], int]:
    """Return for each (a, b) how many more voters place a before b than b before a."""
    margins: dict[tuple[Candidate, Candidate], int] = {}
    allowed = set(pool)
    for ranking in rankings:
        for better, worse in combinations([c for c in ranking if c in allowed], 2):
            margins[better, worse] = margins.get((better, worse), 0) + 1
            margins[worse, better] = margins.get((worse, better), 0) - 1
    return margins


def _lock(pairs: Iterable[tuple[Candidate, Candidate]]) -> dict[Candidate, set[Candidate]]:
    """Lock each pair unless it closes a cycle; return the candidates below each one (the transitive closure).

    Every pair is locked or implied in one direction, so the number of candidates below one gives its position.
    """
    below: dict[Candidate, set[Candidate]] = {}
    above: dict[Candidate, set[Candidate]] = {}
    for winner, loser in pairs:
        if winner in below.get(loser, ()):
            continue
        for higher in {winner, *above.get(winner, ())}:
            gained = {loser, *below.get(loser, ())}
            below.setdefault(higher, set()).update(gained)
            for lower in gained:
                above.setdefault(lower, set()).add(higher)
    return below
