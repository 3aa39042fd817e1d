"""Group decisions: acceptance by reviewers, order by ranked pairs. Pure functions, no database."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol, TypeVar
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


class ReviewedMessage(Protocol):
    """The part of a message that a rule needs: prompts have no parent."""

    @property
    def parent_id(self) -> UUID | None: ...


@dataclass(frozen=True, order=True)
class ReviewRule:
    """How many reviews decide about a message, and the share of accepting reviewers that must be exceeded.

    In all methods `votes` holds True for each reviewer who would reject.
    """

    wanted: int
    threshold: float

    def verdict(self, votes: Sequence[bool]) -> bool | None:
        """Return True for accepted, False for rejected, None while missing reviews could change the outcome.

        With `wanted` or more votes the outcome is final. An early verdict is given only when accepting all and
        rejecting all the missing votes would end the same way.
        """
        rejecting, missing = sum(votes), max(0, self.wanted - len(votes))
        total = len(votes) + missing
        if total == 0:
            return None
        best = is_accepted(rejecting, total, self.threshold)
        worst = is_accepted(rejecting + missing, total, self.threshold)
        return best if best == worst else None

    def decision(self, votes: Sequence[bool]) -> bool | None:
        """Return what these votes decided in their order of arrival: late votes change nothing once it is settled."""
        results = (self.verdict(votes[:number]) for number in range(1, len(votes) + 1))
        return next((result for result in results if result is not None), None)

    def votes_needed(self, votes: Sequence[bool]) -> int:
        """Return how many more reviews could settle it at the soonest; so many are requested at once."""
        for more in range(max(0, self.wanted - len(votes)) + 1):
            for outcome in (False, True):
                if self.verdict([*votes, *[outcome] * more]) is not None:
                    return more
        return 0


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
