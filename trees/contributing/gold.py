"""The messages whose right verdict is known: marked by administrators, or found where all reviewers agreed long ago.

`tasks.checks` hands them out, `reviewers` learns from the answers.
"""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Count, F, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext

from oasst.accounts.access import require_administrator
from oasst.accounts.models import User
from oasst.core.audit.acts import Act
from oasst.core.audit.rows import Watched, recorded_rows
from oasst.core.errors import Conflict
from oasst.core.text.validation import clean_reason
from trees import acts
from trees.access import message_not_found
from trees.labels import LANG_MISMATCH, SPAM
from trees.lifecycle import consensus, demand
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import Work
from trees.models import GoldMessage, Message, Review

YEAR = timedelta(days=365)
MOST_FOUND = 500  # unanimous messages of a language, kind of review and verdict
DOUBTED_FROM = 3  # answers, half of which differ from the known verdict: it is no longer taken as known
BATCH = 1000

Group = tuple[str, str, bool]
"""Language, kind of review, right verdict."""


@dataclass(frozen=True)
class Pool:
    """The gold messages in use of a language and kind of review."""

    lang: str
    work: Work
    number: int
    missing: int
    """How many more are needed before there are checks."""


def pools(policy: TreePolicy) -> list[Pool]:
    """Return all pools that are not empty, by language. One statement."""
    rows = GoldMessage.objects.filter(active=True).order_by("lang", "work").values_list("lang", "work")
    return [
        Pool(lang, Work(work), number, max(0, policy.in_language(lang).check_least_pool - number))
        for lang, work, number in rows.annotate(number=Count("pk"))
    ]


# --- By administrators ---


def mark(*, message_id: UUID, actor: User, reason: str, policy: TreePolicy) -> GoldMessage:
    """Confirm that the decision about this message is right, so that it is handed out as a gold message.

    Only the decision can be confirmed: an answer against it costs quality, as with any review, so a message that was
    decided wrongly would punish those who are right. A repeat changes the reason. Raise NotAllowed, Invalid (no
    reason), NotFound, Conflict (`undecided`, `withheld`, `for_practice`).
    """
    require_administrator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        message = _lock(message_id)
        if not stands(message):
            raise Conflict(
                "This message was removed, hidden or withdrawn, so nobody is asked about it.", code="withheld"
            )
        if message.review_result is None:
            raise Conflict("Reviewers have not decided about this message yet.", code="undecided")
        if message.practice_texts.exists():
            raise Conflict(
                gettext("This message is or was for practice, where its outcome is shown."), code="for_practice"
            )
        fields = {
            "revision_id": message.revision_id,
            "lang": message.lang,
            "work": demand.review_work(message).value,
            "good": message.review_result,
            "source": GoldMessage.Source.MARKED,
            "active": True,
            "actor": actor,
            "reason": reason,
            "changed_at": timezone.now(),
        }
        with _recorded(acts.MARK_GOLD, message, actor, reason):
            gold, _ = GoldMessage.objects.update_or_create(
                message=message, defaults=fields, create_defaults={**fields, "draw": random.random()}
            )
    return gold


@contextmanager
def _recorded(act: Act, message: Message, actor: User, reason: str) -> Iterator[None]:
    columns = ("revision_id", "lang", "work", "good", "source", "active")
    watched = {"gold_message": Watched(GoldMessage.objects.filter(message=message), columns)}
    target = GoldMessage(message=message)  # moderators, who review gold messages too, read the history of a message
    with recorded_rows(act, target, watched, actor=actor, person_id=message.author_id, reason=reason, always=True):
        yield


def stands(message: Message) -> bool:
    """Return True if people may be asked about it: it was not removed, hidden or withdrawn."""
    return not (message.is_withheld or message.withdrawn)


def can_be_marked(message: Message) -> bool:
    """Return True if `mark` accepts it."""
    return stands(message) and message.review_result is not None


def unmark(*, message_id: UUID, actor: User, reason: str, policy: TreePolicy) -> None:
    """End a gold message, marked or found; it is not found again. Answers to it count for nothing any more.

    Raise NotAllowed, Invalid (no reason), NotFound, Conflict (`not_gold`).
    """
    require_administrator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        with _recorded(acts.END_GOLD, _lock(message_id), actor, reason):
            changed = GoldMessage.objects.filter(message=message_id, active=True).update(
                active=False, actor=actor, reason=reason, changed_at=timezone.now()
            )
        if not changed:
            raise Conflict("This is not a gold message.", code="not_gold")


def _lock(message_id: UUID) -> Message:
    """Lock the message, so that marking and ending do not race."""
    rows = Message.objects.select_for_update(of=("self",), no_key=True).defer("search", "text")
    message = rows.filter(pk=message_id).first()
    if message is None:
        raise message_not_found()
    return message


def with_answers(rows: QuerySet[GoldMessage]) -> QuerySet[Any]:
    """Add how many people answered to each gold message (`answers`), and how many of them rightly (`right`)."""
    answers = Review.first_answers(Review.Kind.GOLD).filter(revision=OuterRef("revision")).order_by()
    rejecting = Q(**{f"labels__{SPAM}__gte": 0.5}) | Q(**{f"labels__{LANG_MISMATCH}__gte": 0.5})  # as `is_rejecting`

    def count(rows: QuerySet[Review]) -> Coalesce:
        return Coalesce(Subquery(rows.values("revision").annotate(number=Count("pk")).values("number")), 0)

    rows = rows.annotate(answers=count(answers), rejecting=count(answers.filter(rejecting)))
    return rows.annotate(right=Case(When(good=True, then=F("answers") - F("rejecting")), default=F("rejecting")))


# --- By the clock ---


def refresh(policy: TreePolicy) -> tuple[int, int]:
    """Find new unanimous messages and end those found before that people doubt; return how many of each.

    Safe to run twice and concurrently.
    """
    ended = _end_doubted()
    room = Counter[Group]()
    groups = GoldMessage.objects.filter(active=True).order_by()
    room.subtract(groups.values_list("lang", "work", "good"))
    found: list[GoldMessage] = []
    number = 0
    for gold in _unanimous(policy, timezone.now()):
        group = (gold.lang, gold.work, gold.good)
        if room[group] + MOST_FOUND > 0:
            room[group] -= 1
            number += 1
            found.append(gold)
        if len(found) == BATCH:
            GoldMessage.objects.bulk_create(found, ignore_conflicts=True)
            found.clear()
    GoldMessage.objects.bulk_create(found, ignore_conflicts=True)
    return number, ended


def _unanimous(policy: TreePolicy, now: datetime) -> Iterator[GoldMessage]:
    """Yield the messages of the last years that enough reviewers judged alike and nobody otherwise, long ago."""
    old = now - timedelta(days=policy.gold_age_days)
    rows = (
        Review.objects.filter(kind=Review.Kind.REVIEW, revision=F("message__revision"), message__gold=None)
        # Imported decisions are known to everybody who has the file.
        .filter(message__created_at__gte=old - YEAR, message__created_at__lt=old)
        .filter(message__imported__isnull=True, message__review_result__isnull=False)
        .filter(message__deleted=False, message__hidden=False, message__withdrawn=False)
        # The outcome of these is shown to everybody.
        .filter(message__practice_texts=None)
        .order_by("message__created_at", "message_id")
        .values_list(
            *("message_id", "created_at", "labels", "revision_id", "message__lang"),
            *("message__parent_id", "message__role", "message__review_result"),
        )
    )
    for message_id, reviews in groupby(rows.iterator(chunk_size=BATCH), key=lambda row: row[0]):
        of_message = list(reviews)
        *_, revision_id, lang, parent_id, role, accepted = of_message[0]
        agree = all(consensus.is_rejecting(labels) != accepted for _, _, labels, *_ in of_message)
        if agree and len(of_message) >= policy.gold_least_reviews and max(row[1] for row in of_message) < old:
            yield GoldMessage(
                message_id=message_id,
                revision_id=revision_id,
                lang=lang,
                work=demand.review_work(Message(parent_id=parent_id, role=role)).value,
                good=accepted,
                source=GoldMessage.Source.UNANIMOUS,
                draw=random.random(),
            )


def _end_doubted() -> int:
    """End messages that were found and whose later answers mostly differ; those that were marked stay."""
    found = with_answers(GoldMessage.objects.filter(active=True, source=GoldMessage.Source.UNANIMOUS))
    doubted = [row.pk for row in found.filter(answers__gte=DOUBTED_FROM) if 2 * row.right <= row.answers]
    return GoldMessage.objects.filter(pk__in=doubted, active=True).update(
        active=False, reason="Half of those who were asked again answered otherwise.", changed_at=timezone.now()
    )
