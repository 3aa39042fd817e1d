"""What goes for good: chats that were deleted a while ago, what programs asked, and the chats of people who left.

Found in the data each time, a few chats in each transaction: it may be killed, and run twice at once.
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

AT_ONCE = 50


def remove_what_is_due(policy: ChatPolicy) -> int:
    """How many chats went. One with a report that nobody looked at yet stays until somebody did."""
    now = timezone.now()
    left = Q(user__is_active=False)
    for turn_id in Turn.objects.filter(left, state__in=OPEN).values_list("pk", flat=True):
        lifecycle.stop(turn_id)
    Preset.objects.filter(left).delete()
    reported = Exists(ChatReport.objects.filter(message__chat=OuterRef("pk"), resolved_at=None))
    deleted = Q(ephemeral=False, deleted_at__lte=now - timedelta(days=policy.undelete_days)) & ~Q(reported)
    answered = Q(ephemeral=True, deleted_at__lte=now - timedelta(seconds=policy.ephemeral_seconds))
    return sum(_remove(Chat.objects.filter(which)) for which in (deleted, answered, left))


def erase_chats_of(person_id: UUID) -> None:
    """All of them, and the person's presets. What an engine is still writing is ended first, and goes with the next
    call where the engine is slower than this.
    """
    for turn_id in Turn.objects.filter(user=person_id, state__in=OPEN).values_list("pk", flat=True):
        lifecycle.stop(turn_id)
    Preset.objects.filter(user=person_id).delete()
    _remove(Chat.objects.filter(user=person_id))


def _remove(chats: QuerySet[Chat]) -> int:
    """Those in which nothing is being answered."""
    being_answered = Exists(Turn.objects.filter(message__chat=OuterRef("pk"), state__in=OPEN))
    number = 0
    while True:
        with transaction.atomic(durable=True):
            locked = chats.filter(~being_answered).select_for_update(of=("self",), skip_locked=True)
            ids = list(locked.order_by("pk").values_list("pk", flat=True)[:AT_ONCE])
            Chat.objects.filter(pk__in=ids).delete()
        number += len(ids)
        if len(ids) < AT_ONCE:
            return number
