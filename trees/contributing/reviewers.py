"""How reliable each reviewer is, learnt from all reviews together. Shown to the person; nothing else uses it yet.

Source: A. P. Dawid and A. M. Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm",
1979, for two classes, keep and reject. Ours, because the libraries that have it bring along a numerical stack for what
is one screen of code. Pure functions but for `learn`, which is one transaction.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import prod
from typing import TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from oasst.core.locks import advisory_lock
from trees.lifecycle import consensus
from trees.models import Review, ReviewerRecord

Person = TypeVar("Person")
Text = TypeVar("Text")
ROUNDS = 30  # of estimating; it settles long before
SETTLED = 1e-6
WINDOW = timedelta(days=180)  # people change; what they did long ago says little


@dataclass(frozen=True)
class Skill:
    """How often a person rejects what should be rejected, and keeps what should be kept. From 0 to 1."""

    finds: float
    spares: float

    def chance(self, rejected: bool, bad: bool) -> float:
        """How probable this vote is about a text that is bad, or good."""
        reject = self.finds if bad else 1 - self.spares
        return reject if rejected else 1 - reject


def skills(votes: Mapping[Text, Mapping[Person, bool]]) -> tuple[dict[Person, Skill], dict[Text, float]]:
    """Estimate skills and outcomes together. `votes` holds, for each text, who would reject it.

    Returns the skill of each person and for each text the probability that it should be rejected. Every person begins
    with the benefit of one imagined good vote of each kind and half a bad one, so that few votes move nobody far.
    """
    bad = {text: sum(by.values()) / len(by) for text, by in votes.items() if by}
    found: dict[Person, Skill] = {}
    for _ in range(ROUNDS):
        found, share = _skills_from(votes, bad), sum(bad.values()) / max(1, len(bad))
        fresh = {text: _probability(votes[text], found, share) for text in bad}
        moved = max((abs(fresh[text] - bad[text]) for text in bad), default=0)
        bad = fresh
        if moved < SETTLED:
            break
    return found, bad


_GOOD, _BAD = 1.0, 0.5  # imagined votes


def _skills_from(votes: Mapping[Text, Mapping[Person, bool]], bad: Mapping[Text, float]) -> dict[Person, Skill]:
    seen: dict[Person, list[float]] = defaultdict(lambda: [_GOOD, _GOOD + _BAD, _GOOD, _GOOD + _BAD])
    for text, probability in bad.items():
        for person, rejected in votes[text].items():
            counts = seen[person]
            counts[0] += probability * rejected
            counts[1] += probability
            counts[2] += (1 - probability) * (not rejected)
            counts[3] += 1 - probability
    return {
        person: Skill(found / bad_ones, spared / good_ones)
        for person, (found, bad_ones, spared, good_ones) in seen.items()
    }


def _probability(by: Mapping[Person, bool], found: Mapping[Person, Skill], share: float) -> float:
    bad = share * prod(found[person].chance(rejected, True) for person, rejected in by.items())
    good = (1 - share) * prod(found[person].chance(rejected, False) for person, rejected in by.items())
    return bad / (bad + good) if bad + good else share


def learn() -> int:
    """Estimate everybody who reviewed lately anew; returns how many people that were. Safe to run twice and at once."""
    with transaction.atomic(durable=True):
        advisory_lock("reviewers")
        since = timezone.now() - WINDOW
        # Reviews of the text that stands: what was decided is about that one.
        reviews = Review.objects.filter(
            kind=Review.Kind.REVIEW, created_at__gte=since, revision=F("message__revision"), message__deleted=False
        ).values_list("message_id", "author_id", "labels", "message__review_result")
        votes: dict[UUID, dict[UUID, bool]] = defaultdict(dict)
        decided: Counter[UUID] = Counter()
        agreed: Counter[UUID] = Counter()
        for message, author, labels, accepted in reviews.iterator():
            rejected = votes[message][author] = consensus.rejects(labels)
            decided[author] += accepted is not None
            agreed[author] += accepted is not None and rejected != accepted
        found, _ = skills(votes)
        _store({person: (skill, decided[person], agreed[person]) for person, skill in found.items()})
    return len(found)


def _store(people: Mapping[UUID, tuple[Skill, int, int]]) -> None:
    ReviewerRecord.objects.exclude(person__in=list(people)).delete()
    ReviewerRecord.objects.bulk_create(
        (
            ReviewerRecord(
                person_id=person,
                finds=skill.finds,
                spares=skill.spares,
                decided=decided,
                agreed=agreed,
                updated_at=timezone.now(),
            )
            for person, (skill, decided, agreed) in people.items()
        ),
        batch_size=1000,
        update_conflicts=True,
        unique_fields=["person"],
        update_fields=["finds", "spares", "decided", "agreed", "updated_at"],
    )
