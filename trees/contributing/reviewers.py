"""How reliable each reviewer is, estimated from all reviews together. Only that user sees it; nothing uses it yet.

Source: A. P. Dawid and A. M. Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm",
1979, for two classes, keep and reject. Implemented here because libraries for it bring a numerical stack for one screen
of code. Pure functions except `learn`, which is one transaction.
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
ROUNDS = 30  # of estimation; it converges much earlier
SETTLED = 1e-6
WINDOW = timedelta(days=180)  # people change; older reviews say little


@dataclass(frozen=True)
class Skill:
    """How often a user rejects bad texts (`finds`) and keeps good ones (`spares`), from 0 to 1."""

    finds: float
    spares: float

    def chance(self, rejected: bool, bad: bool) -> float:
        """Return the probability of this vote about a bad or a good text."""
        reject = self.finds if bad else 1 - self.spares
        return reject if rejected else 1 - reject


def skills(votes: Mapping[Text, Mapping[Person, bool]]) -> tuple[dict[Person, Skill], dict[Text, float]]:
    """Estimate skills and outcomes together. `votes` says for each text which users would reject it.

    Return the skill of each user and, for each text, the probability that it should be rejected. Every user starts with
    one imagined good vote of each kind and half a bad one, so that few votes say little.
    """
    bad = {text: sum(voters.values()) / len(voters) for text, voters in votes.items() if voters}
    result: dict[Person, Skill] = {}
    for _ in range(ROUNDS):
        result, share = _skills_from(votes, bad), sum(bad.values()) / max(1, len(bad))
        updated = {text: _probability(votes[text], result, share) for text in bad}
        change = max((abs(updated[text] - bad[text]) for text in bad), default=0)
        bad = updated
        if change < SETTLED:
            break
    return result, bad


_GOOD, _BAD = 1.0, 0.5  # imagined votes


def _skills_from(votes: Mapping[Text, Mapping[Person, bool]], bad: Mapping[Text, float]) -> dict[Person, Skill]:
    totals: dict[Person, list[float]] = defaultdict(lambda: [_GOOD, _GOOD + _BAD, _GOOD, _GOOD + _BAD])
    for text, probability in bad.items():
        for person, rejected in votes[text].items():
            counts = totals[person]
            counts[0] += probability * rejected
            counts[1] += probability
            counts[2] += (1 - probability) * (not rejected)
            counts[3] += 1 - probability
    return {
        person: Skill(rejected / bad_texts, kept / good_texts)
        for person, (rejected, bad_texts, kept, good_texts) in totals.items()
    }


def _probability(voters: Mapping[Person, bool], skills: Mapping[Person, Skill], share: float) -> float:
    bad = share * prod(skills[person].chance(rejected, True) for person, rejected in voters.items())
    good = (1 - share) * prod(skills[person].chance(rejected, False) for person, rejected in voters.items())
    return bad / (bad + good) if bad + good else share


def learn() -> int:
    """Estimate all users who reviewed lately and return their number. Safe to run twice and concurrently."""
    with transaction.atomic(durable=True):
        advisory_lock("reviewers")
        since = timezone.now() - WINDOW
        # Only reviews of the present text: the decision is about that one.
        reviews = Review.objects.filter(
            kind=Review.Kind.REVIEW, created_at__gte=since, revision=F("message__revision"), message__deleted=False
        ).values_list("message_id", "author_id", "labels", "message__review_result")
        votes: dict[UUID, dict[UUID, bool]] = defaultdict(dict)
        decided: Counter[UUID] = Counter()
        agreed: Counter[UUID] = Counter()
        for message, author, labels, accepted in reviews.iterator():
            rejected = votes[message][author] = consensus.is_rejecting(labels)
            decided[author] += accepted is not None
            agreed[author] += accepted is not None and rejected != accepted
        estimates, _ = skills(votes)
        _store({person: (skill, decided[person], agreed[person]) for person, skill in estimates.items()})
    return len(estimates)


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
