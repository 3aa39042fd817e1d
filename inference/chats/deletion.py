"""Delete and restore chats. `inference.chats.cleanup` removes deleted ones for good later."""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from inference.chats.changes import require_batch_size, update_chat
from inference.models import Chat, Turn
from inference.turns import lifecycle
from inference.turns.states import OPEN
from oasst.accounts.models import User
from oasst.core.errors import NotFound
from oasst.core.ratelimit import CHAT_CHANGES, count_use


def delete_chat(*, user: User, chat_id: UUID) -> None:
    """Hide a chat at once and stop its answers. `undelete_chat` restores it."""
    update_chat(user, chat_id, deleted_at=timezone.now())
    _stop_turns_of([chat_id])


def delete_chats(*, user: User, chat_ids: Sequence[UUID]) -> None:
    """Delete several chats, all or none. Raise NotFound if one does not exist."""
    require_batch_size(chat_ids, "chat_ids")
    count_use(CHAT_CHANGES, user.pk)
    with transaction.atomic(durable=True):
        own = Chat.objects.select_for_update(no_key=True).filter(user=user, deleted_at=None, pk__in=chat_ids)
        if len(own.order_by("pk").values_list("pk")) < len(set(chat_ids)):
            raise NotFound("One of these chats is not there. None was deleted.", code="chat_not_found")
        Chat.objects.filter(pk__in=chat_ids).update(deleted_at=timezone.now())
    _stop_turns_of(chat_ids)


def delete_all_chats(*, user: User) -> None:
    """Delete the chats of a user who leaves, in the caller's transaction. Answers stop after its commit."""
    chat_ids = list(Chat.objects.filter(user=user, deleted_at=None).values_list("pk", flat=True))
    Chat.objects.filter(pk__in=chat_ids).update(deleted_at=timezone.now())
    transaction.on_commit(lambda: _stop_turns_of(chat_ids), robust=True)


def undelete_chat(*, user: User, chat_id: UUID) -> None:
    """Restore a deleted chat. Raise NotFound, Busy `rate_limited`."""
    count_use(CHAT_CHANGES, user.pk)
    if not Chat.objects.filter(pk=chat_id, user=user, ephemeral=False).update(deleted_at=None):
        raise NotFound("There is no such chat.", code="chat_not_found")


def _stop_turns_of(chat_ids: Sequence[UUID]) -> None:
    for turn_id in Turn.objects.filter(message__chat__in=chat_ids, state__in=OPEN).values_list("pk", flat=True):
        lifecycle.stop(turn_id)
