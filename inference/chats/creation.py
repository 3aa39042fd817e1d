"""New chats without a question yet. One that begins with a question: `inference.chats.asking.begin_chat`."""

from collections.abc import Mapping, Sequence
from typing import Any

from inference.chats import chat_settings
from inference.chats.changes import cleaned_changes, require_batch_size
from inference.models import Chat
from inference.policy import ChatPolicy
from oasst.accounts.access import require_contributor
from oasst.accounts.models import User
from oasst.core.ratelimit import NEW_CHATS, NEW_CHATS_OF_PROGRAMS, spend


def create_chats(*, user: User, wanted: Sequence[Mapping[str, Any]], policy: ChatPolicy) -> list[Chat]:
    """Several chats at once for a program, each with any of title, hidden and allow_data_use; all of them or none."""
    require_contributor(user)
    require_batch_size(wanted, "chats")
    chats = [Chat(user=user, **cleaned_changes(one, policy)) for one in wanted]
    spend(NEW_CHATS_OF_PROGRAMS, user.pk, times=len(chats))
    return Chat.objects.bulk_create(chats)


def empty_chat(*, user: User) -> Chat:
    """The person's chat in which nothing was said yet, or a new one: so that looking around leaves no heap of them."""
    require_contributor(user)
    waiting = Chat.objects.filter(user=user, deleted_at=None, hidden=False, messages=None).first()
    if waiting is None:
        spend(NEW_CHATS, user.pk)
        waiting = Chat.objects.create(user=user, **chat_settings.start_values(user))
    return waiting
