"""Remove chats for good: those deleted long enough ago, ephemeral ones, and those of users who left.

Each run finds them by query and removes a few per transaction, so it may be killed and may run twice at once.
"""

from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from inference.models import Chat, ChatReport, Preset, Turn
from inference.policy import ChatPolicy
from inference.turns import lifecycle
from inference.turns.states import OPEN

BATCH_SIZE = 50


def remove_due_chats(policy: ChatPolicy) -> int:
    """Remove the chats that are due and return their number. A deleted chat stays until its reports are resolved."""
    now = timezone.now()
    left = Q(user__is_active=False)
    _stop_turns(left)
    Preset.objects.filter(left).delete()
    reported = Exists(ChatReport.objects.filter(message__chat=OuterRef("pk"), resolved_at=None))
    deleted = Q(ephemeral=False, deleted_at__lte=now - timedelta(days=policy.undelete_days)) & ~Q(reported)
    ephemeral = Q(ephemeral=True, deleted_at__lte=now - timedelta(seconds=policy.ephemeral_seconds))
    return sum(_remove(Chat.objects.filter(due)) for due in (deleted, ephemeral, left))


def erase_chats(user_id: UUID) -> None:
    """Stop the user's answers and delete their chats and presets. A chat that is still being answered stays until the
    next call."""
    _stop_turns(Q(user=user_id))
    Preset.objects.filter(user=user_id).delete()
    _remove(Chat.objects.filter(user=user_id))


def _stop_turns(owner: Q) -> None:
    for turn_id in Turn.objects.filter(owner, state__in=OPEN).values_list("pk", flat=True):
        lifecycle.stop(turn_id)


def _remove(chats: QuerySet[Chat]) -> int:
    """Delete the chats that have no open turn."""
    being_answered = Exists(Turn.objects.filter(message__chat=OuterRef("pk"), state__in=OPEN))
    number = 0
    while True:
        with transaction.atomic(durable=True):
            locked = chats.filter(~being_answered).select_for_update(of=("self",), skip_locked=True)
            ids = list(locked.order_by("pk").values_list("pk", flat=True)[:BATCH_SIZE])
            Chat.objects.filter(pk__in=ids).delete()
        number += len(ids)
        if len(ids) < BATCH_SIZE:
            return number
