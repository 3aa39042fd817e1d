"""Votes on answers, comparisons of answers, and reports to the moderators."""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from inference.chats.access import get_message_for, lock_chat_for
from inference.models import ChatMessage, ChatReport, DraftChoice, Role, Vote
from inference.turns.states import ANSWERABLE, TurnState
from oasst.accounts.models import User
from oasst.core.errors import Invalid
from oasst.core.ratelimit import CHAT_REPORTS, CHAT_VOTES, count_use
from oasst.core.text.validation import clean_text

REPORT_LENGTH = 2000
MAX_DRAFTS = 20


def vote(*, user: User, message_id: UUID, score: int) -> None:
    """Set the user's vote on an answer: up (1), down (-1) or none (0)."""
    answer = _get_answer_for(user, message_id)
    if score not in (-1, 0, 1):
        raise Invalid("A vote is 1, -1 or 0.", code="bad_score", field="score")
    count_use(CHAT_VOTES, user.pk)
    if score == 0:
        Vote.objects.filter(message=answer, user=user).delete()
    else:
        values = {"score": score, "voted_at": timezone.now()}
        Vote.objects.update_or_create(message=answer, user=user, defaults=values)


def choose_draft(*, user: User, message_id: UUID, rejected_ids: Sequence[UUID]) -> DraftChoice:
    """Record that this answer is better than the others to the same message. Replaces earlier choices."""
    chosen = _get_answer_for(user, message_id)
    ids = set(rejected_ids)
    if not 0 < len(ids) <= MAX_DRAFTS or chosen.pk in ids:
        raise Invalid(
            f"Please name the 1 to {MAX_DRAFTS} other answers.", code="bad_drafts", field="inferior_message_ids"
        )
    answers = ChatMessage.objects.filter(role=Role.ASSISTANT, turn__state__in=ANSWERABLE)
    rejected = list(answers.filter(parent=chosen.parent_id, pk__in=ids))
    if len(rejected) < len(ids) or TurnState(chosen.turn.state) not in ANSWERABLE:
        raise Invalid(
            "Only complete answers to the same message can be compared.",
            code="bad_drafts",
            field="inferior_message_ids",
        )
    count_use(CHAT_VOTES, user.pk)
    with transaction.atomic(durable=True):
        lock_chat_for(user, chosen.chat_id)
        DraftChoice.objects.filter(user=user, chosen__in=rejected).delete()
        values = {"chosen_at": timezone.now()}
        choice, _ = DraftChoice.objects.update_or_create(user=user, chosen=chosen, defaults=values)
        choice.rejected.set(rejected)
    return choice


def report(*, user: User, message_id: UUID, kind: str, reason: str) -> ChatReport:
    """Report an answer to the moderators. Raise NotFound, Invalid (`not_an_answer`, `bad_kind`, the reason), Busy."""
    answer = _get_answer_for(user, message_id)
    if kind not in ChatReport.Kind.values:
        raise Invalid(f"A report is one of {', '.join(ChatReport.Kind.values)}.", code="bad_kind", field="report_type")
    reason = clean_text(reason, limit=REPORT_LENGTH, field="reason")
    count_use(CHAT_REPORTS, user.pk)
    return ChatReport.objects.create(message=answer, user=user, kind=kind, reason=reason)


def _get_answer_for(user: User, message_id: UUID) -> ChatMessage:
    message = get_message_for(user, message_id)
    if message.role != Role.ASSISTANT:
        raise Invalid("This can only be said about an answer.", code="not_an_answer")
    return message
