"""How a person wants answers: the settings and instructions of a chat, and the presets that they keep."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from inference.chats.presets import BUILT_IN, DEFAULT, NAMES
from inference.engine.sampling import BadSetting, sampling
from inference.models import Chat, Preset
from inference.policy import ChatPolicy
from oasst.accounts.access import require_contributor
from oasst.accounts.models import User
from oasst.core.errors import Conflict, Invalid, NotFound
from oasst.core.ratelimit import CHAT_CHANGES, spend
from oasst.core.text.validation import clean_line, clean_remark

INSTRUCTIONS = ("system_prompt", "user_profile", "response_instructions")
MOST_PRESETS = 50
NAME_LENGTH = 40
_CARRIED_OVER = ("model", "sampling", "user_profile", "response_instructions")


@dataclass(frozen=True)
class NamedSettings:
    """A preset as pages show it."""

    key: str
    """The name of one of the house, the id of an own one."""
    name: str
    own: bool
    on: bool
    """The chat is set like this."""


def settings_of(chat: Chat | None) -> dict[str, Any]:
    """What the next answer in this chat is asked for with."""
    return chat.sampling if chat is not None and chat.sampling else BUILT_IN[DEFAULT]


def start_values(user: User) -> dict[str, Any]:
    """With what a new chat of this person begins: as their latest one was set. A seed was meant for that one alone."""
    latest = Chat.objects.filter(user=user, deleted_at=None).order_by("-modified_at", "-id")
    values = latest.values(*_CARRIED_OVER).first() or {}
    if "seed" in values.get("sampling", {}):
        values["sampling"] = {name: value for name, value in values["sampling"].items() if name != "seed"}
    return values


def checked_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` as it is stored: what was not named is left to its default. Raises Invalid with the name as field."""
    named = {name: value for name, value in given.items() if value is not None}
    settled = checked_sampling(named)
    return {name: settled[name] for name in named if name in settled}


def checked_sampling(given: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of an answer, with defaults for those that are not given. Raises Invalid with the name as field."""
    try:
        return sampling(given).as_json()
    except BadSetting as error:
        raise Invalid(error.message, code="bad_setting", field=error.field) from error


def presets_for(user: User, chat: Chat | None) -> list[NamedSettings]:
    current = settings_of(chat)
    house = [NamedSettings(key, NAMES[key], False, BUILT_IN[key] == current) for key in NAMES]
    own = Preset.objects.filter(user=user).order_by("name")[:MOST_PRESETS]
    return house + [NamedSettings(str(one.pk), one.name, True, one.sampling == current) for one in own]


def get_preset_for(user: User, key: str) -> dict[str, Any]:
    """The settings of a preset of the house or of this person."""
    if key in BUILT_IN:
        return BUILT_IN[key]
    return _own(user, key).sampling


def save_preset(*, user: User, name: str, chosen: Mapping[str, Any]) -> Preset:
    """Keep settings under a name; one that has it already is replaced. A seed is no part of it."""
    require_contributor(user)
    name = clean_line(name, limit=NAME_LENGTH, field="preset_name")
    if name.casefold() in {one.casefold() for one in (*BUILT_IN, *NAMES.values())}:
        raise Conflict("A preset of the house has this name.", code="preset_taken", field="preset_name")
    values = {key: value for key, value in checked_settings(chosen).items() if key != "seed"}
    others = Preset.objects.filter(user=user).exclude(name=name).count()
    if others >= MOST_PRESETS:
        raise Conflict(
            f"You have {MOST_PRESETS} presets. Please delete one first.", code="too_many_presets", field="preset_name"
        )
    spend(CHAT_CHANGES, user.pk)
    preset, _ = Preset.objects.update_or_create(user=user, name=name, defaults={"sampling": values})
    return preset


def delete_preset(*, user: User, key: str) -> str:
    """Chats that are set like it stay as they are. Returns its name."""
    preset = _own(user, key)
    spend(CHAT_CHANGES, user.pk)
    preset.delete()
    return preset.name


def _own(user: User, key: str) -> Preset:
    try:
        preset = Preset.objects.filter(user=user, pk=UUID(key)).first()
    except ValueError:
        preset = None
    if preset is None:
        raise NotFound("There is no such preset.", code="preset_not_found", field="preset")
    return preset


def system_prompt(chat: Chat) -> str:
    """What the model is told before the conversation: the system prompt, then what the person said about themselves."""
    parts = [chat.system_prompt]
    if chat.user_profile:
        parts.append(
            "About the person you talk with (use it only where the question is about it, and do not mention it "
            f"otherwise): {chat.user_profile}"
        )
    if chat.response_instructions:
        parts.append(f"How the person wants you to answer: {chat.response_instructions}")
    return "\n\n".join(part for part in parts if part)


def cleaned_instructions(given: Mapping[str, str], policy: ChatPolicy) -> dict[str, str]:
    """Any of `INSTRUCTIONS`, as they are stored. Raises Invalid with the name as field."""
    unknown = set(given) - set(INSTRUCTIONS)
    if unknown:
        raise TypeError(f"unknown instructions: {unknown}")
    return {name: clean_remark(text, limit=policy.instructions_length, field=name) for name, text in given.items()}
