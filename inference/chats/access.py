"""Fetch chats, messages and answers of one user. Those of other users are not found, and no blind ones.

A blind chat belongs to a battle (`inference.battles`). Only its page shows it, without the
names of models.
"""

from uuid import UUID

from django.db.models import QuerySet

from inference.models import Chat, ChatMessage, Turn
from oasst.accounts.models import User
from oasst.core.errors import NotFound


def get_chat_for(user: User, chat_id: UUID, chats: QuerySet[Chat] | None = None) -> Chat:
    rows = Chat.objects.all() if chats is None else chats
    chat = rows.filter(pk=chat_id, user=user, deleted_at=None, blind=False).first()
    if chat is None:
        raise NotFound("There is no such chat.", code="chat_not_found")
    return chat


def lock_chat_for(user: User, chat_id: UUID) -> Chat:
    """Like `get_chat_for`, and lock the row until the open transaction ends."""
    return get_chat_for(user, chat_id, Chat.objects.select_for_update(of=("self",), no_key=True))


def get_message_for(user: User, message_id: UUID) -> ChatMessage:
    messages = ChatMessage.objects.select_related("chat", "turn")
    message = messages.filter(pk=message_id, chat__user=user, chat__deleted_at=None, chat__blind=False).first()
    if message is None:
        raise NotFound("There is no such message.", code="message_not_found")
    return message


def get_turn_for(user: User, message_id: UUID) -> Turn:
    turn = Turn.objects.select_related("message__chat").filter(pk=message_id, message__chat__user=user).first()
    if turn is None or turn.message.chat.deleted_at is not None or turn.message.chat.blind:
        raise NotFound("There is no such answer.", code="message_not_found")
    return turn
