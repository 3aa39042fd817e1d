"""Changing a chat: its title, hiding it, its settings and instructions, the branch that is looked at."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from inference.chats import chat_settings
from inference.chats.access import get_chat_for, get_message_for
from inference.chats.chat_settings import cleaned_instructions
from inference.chats.offered_models import require_offered
from inference.models import Chat
from inference.policy import ChatPolicy
from oasst.accounts.models import User
from oasst.core.errors import Invalid, NotFound
from oasst.core.ratelimit import CHAT_CHANGES, spend
from oasst.core.text.validation import clean_line

MOST_AT_ONCE = 100


def change_chat(
    *, user: User, chat_id: UUID, wanted: Mapping[str, Any], policy: ChatPolicy, active_tail: UUID | None = None
) -> None:
    """Any of title, hidden and allow_data_use, and the end of the branch that is looked at: all of it or nothing."""
    values = cleaned_changes(wanted, policy)
    if active_tail is not None:
        values["active_tail_id"] = _require_in_chat(user, chat_id, active_tail)
    update_chat(user, chat_id, **values)


def hide_all(*, user: User) -> None:
    spend(CHAT_CHANGES, user.pk)
    Chat.objects.filter(user=user, deleted_at=None, hidden=False).update(hidden=True)


def rename(*, user: User, chat_id: UUID, title: str, policy: ChatPolicy) -> None:
    update_chat(user, chat_id, **cleaned_changes({"title": title}, policy))


def hide(*, user: User, chat_id: UUID, hidden: bool) -> None:
    update_chat(user, chat_id, hidden=hidden)


def choose(
    *,
    user: User,
    chat_id: UUID,
    policy: ChatPolicy,
    model: str,
    chosen: Mapping[str, Any],
    allow_data_use: bool,
    **instructions: str,
) -> None:
    """How answers are asked for from now on, all of it at once."""
    require_offered(model)
    values = cleaned_instructions(instructions, policy)
    settled = chat_settings.checked_settings(chosen)
    update_chat(user, chat_id, model=model, sampling=settled, allow_data_use=allow_data_use, **values)


def apply_preset(*, user: User, chat_id: UUID, key: str) -> None:
    update_chat(user, chat_id, sampling=chat_settings.get_preset_for(user, key))


def look_at(*, user: User, chat_id: UUID, message_id: UUID) -> None:
    """Remember the end of the branch that the person looks at."""
    update_chat(user, chat_id, active_tail_id=_require_in_chat(user, chat_id, message_id))


def cleaned_changes(wanted: Mapping[str, Any], policy: ChatPolicy) -> dict[str, Any]:
    """The columns for any of title, hidden and allow_data_use; None leaves one as it is."""
    values = {name: wanted[name] for name in ("hidden", "allow_data_use") if wanted.get(name) is not None}
    if wanted.get("title") is not None:
        title = clean_line(wanted["title"], limit=policy.title_length, field="title")
        values |= {"title": title, "titled_by": Chat.TitledBy.PERSON}
    return values


def _require_in_chat(user: User, chat_id: UUID, message_id: UUID) -> UUID:
    if get_message_for(user, message_id).chat_id != chat_id:
        raise NotFound("There is no such message in this chat.", code="message_not_found")
    return message_id


def require_batch_size(given: Sequence[Any], field: str) -> None:
    """Raises Invalid `too_many`, also for none."""
    if not 0 < len(given) <= MOST_AT_ONCE:
        raise Invalid(f"Please give 1 to {MOST_AT_ONCE} at once.", code="too_many", field=field)


def update_chat(user: User, chat_id: UUID, **values: Any) -> None:
    """Set columns of a chat. Raises NotFound where it is not the person's, Busy `rate_limited`."""
    get_chat_for(user, chat_id)
    spend(CHAT_CHANGES, user.pk)
    Chat.objects.filter(pk=chat_id, user=user).update(**values)
