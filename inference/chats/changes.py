"""Change a chat: its title, visibility, settings, instructions and the branch that its page shows."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from inference.chats import chat_settings
from inference.chats.access import get_chat_for, get_message_for
from inference.chats.chat_settings import clean_instructions
from inference.models import Chat
from inference.policy import ChatPolicy
from inference.registry.offer import models_for, require_offered
from oasst.accounts.models import User
from oasst.core.errors import Invalid, NotFound
from oasst.core.ratelimit import CHAT_CHANGES, count_use
from oasst.core.text.validation import clean_line

MAX_BATCH_SIZE = 100


def change_chat(
    *, user: User, chat_id: UUID, values: Mapping[str, Any], policy: ChatPolicy, active_tail: UUID | None = None
) -> None:
    """Set any of title, hidden and allow_data_use, and the last message of the branch to show: all or nothing."""
    columns = clean_changes(values, policy)
    if active_tail is not None:
        if get_message_for(user, active_tail).chat_id != chat_id:
            raise NotFound("There is no such message in this chat.", code="message_not_found")
        columns["active_tail_id"] = active_tail
    update_chat(user, chat_id, **columns)


def hide_all(*, user: User) -> None:
    count_use(CHAT_CHANGES, user.pk)
    Chat.objects.filter(user=user, deleted_at=None, hidden=False).update(hidden=True)


def rename(*, user: User, chat_id: UUID, title: str, policy: ChatPolicy) -> None:
    change_chat(user=user, chat_id=chat_id, values={"title": title}, policy=policy)


def save_settings(
    *,
    user: User,
    chat_id: UUID,
    policy: ChatPolicy,
    model: str,
    chosen: Mapping[str, Any],
    allow_data_use: bool,
    **instructions: str,
) -> None:
    """Set the model, settings and instructions of the next answers, all at once."""
    require_offered(user, model)
    # Who keeps the default gets the next default too.
    model = "" if model == models_for(user)[0] else model
    values = clean_instructions(instructions, policy)
    sampling = chat_settings.clean_settings(chosen)
    update_chat(user, chat_id, model=model, sampling=sampling, allow_data_use=allow_data_use, **values)


def apply_preset(*, user: User, chat_id: UUID, key: str) -> None:
    update_chat(user, chat_id, sampling=chat_settings.get_preset_settings_for(user, key))


def clean_changes(values: Mapping[str, Any], policy: ChatPolicy) -> dict[str, Any]:
    """Return column values for any of title, hidden and allow_data_use. None changes nothing."""
    columns = {name: values[name] for name in ("hidden", "allow_data_use") if values.get(name) is not None}
    if values.get("title") is not None:
        title = clean_line(values["title"], limit=policy.title_length, field="title")
        columns |= {"title": title, "titled_by": Chat.TitledBy.PERSON}
    return columns


def require_batch_size(items: Sequence[Any], field: str) -> None:
    """Raise Invalid `too_many` for an empty list and for too many items."""
    if not 0 < len(items) <= MAX_BATCH_SIZE:
        raise Invalid(f"Please give 1 to {MAX_BATCH_SIZE} at once.", code="too_many", field=field)


def update_chat(user: User, chat_id: UUID, **values: Any) -> None:
    """Set columns of a chat. Raise NotFound for another user's chat, Busy `rate_limited`."""
    get_chat_for(user, chat_id)
    count_use(CHAT_CHANGES, user.pk)
    Chat.objects.filter(pk=chat_id, user=user).update(**values)
