"""Create chats without a question. `inference.chats.asking` creates one with its first question."""

from collections.abc import Mapping, Sequence
from typing import Any

from inference.chats import chat_settings
from inference.chats.changes import clean_changes, require_batch_size
from inference.models import Chat
from inference.policy import ChatPolicy
from oasst.accounts.access import require_contributor
from oasst.accounts.models import User
from oasst.core.ratelimit import NEW_CHATS, NEW_CHATS_OF_CLIENTS, count_use


def create_chats(*, user: User, values: Sequence[Mapping[str, Any]], policy: ChatPolicy) -> list[Chat]:
    """Create several chats for an API client, each with any of title, hidden and allow_data_use: all or none."""
    require_contributor(user)
    require_batch_size(values, "chats")
    chats = [Chat(user=user, **clean_changes(changes, policy)) for changes in values]
    count_use(NEW_CHATS_OF_CLIENTS, user.pk, times=len(chats))
    return Chat.objects.bulk_create(chats)


def get_or_create_empty_chat(*, user: User) -> Chat:
    """Return the user's chat that has no message yet, or create one. Visits do not pile up empty chats."""
    require_contributor(user)
    chat = Chat.objects.filter(user=user, deleted_at=None, hidden=False, messages=None).first()
    if chat is None:
        count_use(NEW_CHATS, user.pk)
        chat = Chat.objects.create(user=user, **chat_settings.initial_values(user))
    return chat
