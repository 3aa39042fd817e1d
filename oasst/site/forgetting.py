"""Erase what moderators wrote beside the audit log about a person, whose words there are erased, too."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from celery import shared_task
from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from inference.models import ChatMessage
from oasst.accounts.models import AccountWarning, MergeProposal, PurgeProposal
from oasst.core.audit.people import accounts_of
from oasst.site.models import BulkAct, BulkRow, DeskDecision, Escalation
from trees.models import Message

BATCH = 1_000
# The kinds of subjects are those of `oasst.site.desk.subjects`, which is in a higher layer.


@shared_task
def forget_words_of(person_id: str) -> None:
    """Run `forget_words_about` as a job, after an account was closed."""
    forget_words_about(UUID(person_id))


@transaction.atomic
def forget_words_about(person_id: UUID) -> None:
    """Empty the reasons of decisions and the notes to administrators about a person and what they wrote, what acts on
    many say of their choice (names, the begin of a text), the pieces of texts in warnings, and why it was proposed, or
    refused, to purge or merge them. What was decided stays.
    Twice changes nothing.
    """
    people = accounts_of(person_id)
    _forget_at_desk("person", people)
    _forget_choices(people)
    chats = ChatMessage.objects.filter(chat__user__in=people).values_list("pk", flat=True)
    _forget_in_batches("chat", chats)
    messages = Message.objects.filter(author__in=people).values_list("pk", flat=True)
    for ids in _forget_in_batches("message", messages):
        _forget_at_desk("tree", ids)  # a tree has the id of its prompt
        _forget_choices(ids)
    AccountWarning.objects.filter(user__in=people).exclude(about="").update(about="")
    merges = Q(destination__in=people) | Q(sources__overlap=people)
    for proposals in (PurgeProposal.objects.filter(user__in=people), MergeProposal.objects.filter(merges)):
        proposals.exclude(reason="", refuse_reason="").update(reason="", refuse_reason="")


def _forget_in_batches(kind: str, ids: Iterable[UUID]) -> list[list[UUID]]:
    rows = list(ids)
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    for batch in batches:
        _forget_at_desk(kind, batch)
    return batches


def _forget_at_desk(kind: str, ids: Sequence[UUID]) -> None:
    about = Q(subject_kind=kind, subject_id__in=[str(pk) for pk in ids])
    DeskDecision.objects.filter(about).exclude(reason="").update(reason="")
    Escalation.objects.filter(about, closed_at__isnull=False).exclude(note="").update(note="")


def _forget_choices(ids: Sequence[UUID]) -> None:
    rows = BulkRow.objects.filter(bulk=OuterRef("pk"), subject_id__in=ids)
    BulkAct.objects.filter(Exists(rows)).exclude(chosen_by="").update(chosen_by="")
