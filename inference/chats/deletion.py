"""Deleting chats, and taking it back. `inference.chats.cleanup` removes them for good later."""

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
from oasst.core.ratelimit import CHAT_CHANGES, spend


def delete_chat(*, user: User, chat_id: UUID) -> None:
    """Out of sight at once, and what is being written for it ends. `undelete_chat` takes it back."""
    update_chat(user, chat_id, deleted_at=timezone.now())
    _stop_turns_of([chat_id])


def delete_chats(*, user: User, chat_ids: Sequence[UUID]) -> None:
    """As `delete_chat`, all of them or none. Raises NotFound where one is not there."""
    require_batch_size(chat_ids, "chat_ids")
    spend(CHAT_CHANGES, user.pk)
    with transaction.atomic(durable=True):
        own = Chat.objects.select_for_update(no_key=True).filter(user=user, deleted_at=None, pk__in=chat_ids)
        if len(own.order_by("pk").values_list("pk")) < len(set(chat_ids)):
            raise NotFound("One of these chats is not there. None was deleted.", code="chat_not_found")
        Chat.objects.filter(pk__in=chat_ids).update(deleted_at=timezone.now())
    _stop_turns_of(chat_ids)


def delete_all_chats(*, user: User) -> None:
    """Of somebody who goes, in the caller's transaction. What is being written ends after its commit."""
    chat_ids = list(Chat.objects.filter(user=user, deleted_at=None).values_list("pk", flat=True))
    Chat.objects.filter(pk__in=chat_ids).update(deleted_at=timezone.now())
    transaction.on_commit(lambda: _stop_turns_of(chat_ids), robust=True)


def undelete_chat(*, user: User, chat_id: UUID) -> None:
    """Take back `delete_chat`. Raises NotFound, Busy `rate_limited`."""
    spend(CHAT_CHANGES, user.pk)
    if not Chat.objects.filter(pk=chat_id, user=user, ephemeral=False).update(deleted_at=None):
        raise NotFound("There is no such chat.", code="chat_not_found")


def _stop_turns_of(chat_ids: Sequence[UUID]) -> None:
    for turn_id in Turn.objects.filter(message__chat__in=chat_ids, state__in=OPEN).values_list("pk", flat=True):
        lifecycle.stop(turn_id)
