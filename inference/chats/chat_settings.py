"""The settings and instructions of a chat, and the presets of a user."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from inference.chats.presets import BUILT_IN, DEFAULT, NAMES
from inference.engine.sampling import InvalidSetting, parse_sampling
from inference.models import Chat, Preset
from inference.policy import ChatPolicy
from oasst.accounts.access import require_contributor
from oasst.accounts.models import User
from oasst.core.errors import Conflict, Invalid, NotFound
from oasst.core.ratelimit import CHAT_CHANGES, count_use
from oasst.core.text.validation import clean_line, clean_optional

INSTRUCTIONS = ("system_prompt", "user_profile", "response_instructions")
MAX_PRESETS = 50
NAME_LENGTH = 40
_CARRIED_OVER = ("model", "sampling", "user_profile", "response_instructions")


@dataclass(frozen=True)
class PresetOption:
    """A preset for the pages."""

    key: str
    """The name of a built-in preset, or the id of the user's own."""
    name: str
    own: bool
    on: bool
    """Whether the chat uses these settings."""


def settings_of(chat: Chat | None) -> dict[str, Any]:
    """Return the settings for the next answer in this chat."""
    return chat.sampling if chat is not None and chat.sampling else BUILT_IN[DEFAULT]


def initial_values(user: User) -> dict[str, Any]:
    """Return the column values of a new chat: those of the user's latest chat, without its seed."""
    latest = Chat.objects.filter(user=user, deleted_at=None, blind=False).order_by("-modified_at", "-id")
    values = latest.values(*_CARRIED_OVER).first() or {}
    values.get("sampling", {}).pop("seed", None)
    return values


def clean_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return only the given settings, checked. Raise Invalid with the setting as field."""
    named = {name: value for name, value in settings.items() if value is not None}
    checked = clean_sampling(named)
    return {name: checked[name] for name in named if name in checked}


def clean_sampling(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings of an answer, with defaults. Raise Invalid with the setting as field."""
    try:
        return parse_sampling(settings).as_json()
    except InvalidSetting as error:
        raise Invalid(error.message, code="bad_setting", field=error.field) from error


def presets_for(user: User, chat: Chat | None) -> list[PresetOption]:
    current = settings_of(chat)
    built_in = [PresetOption(key, NAMES[key], False, BUILT_IN[key] == current) for key in NAMES]
    own = Preset.objects.filter(user=user).order_by("name")[:MAX_PRESETS]
    return built_in + [PresetOption(str(preset.pk), preset.name, True, preset.sampling == current) for preset in own]


def get_preset_settings_for(user: User, key: str) -> dict[str, Any]:
    """Return the settings of a built-in preset or of one of the user."""
    if key in BUILT_IN:
        return BUILT_IN[key]
    return _own(user, key).sampling


def save_preset(*, user: User, name: str, chosen: Mapping[str, Any]) -> Preset:
    """Save settings without their seed under a name. Replaces a preset of the user with that name."""
    require_contributor(user)
    name = clean_line(name, limit=NAME_LENGTH, field="preset_name")
    if name.casefold() in {taken.casefold() for taken in (*BUILT_IN, *NAMES.values())}:
        raise Conflict("A built-in preset has this name.", code="preset_taken", field="preset_name")
    values = {key: value for key, value in clean_settings(chosen).items() if key != "seed"}
    others = Preset.objects.filter(user=user).exclude(name=name).count()
    if others >= MAX_PRESETS:
        raise Conflict(
            f"You have {MAX_PRESETS} presets. Please delete one first.", code="too_many_presets", field="preset_name"
        )
    count_use(CHAT_CHANGES, user.pk)
    preset, _ = Preset.objects.update_or_create(user=user, name=name, defaults={"sampling": values})
    return preset


def delete_preset(*, user: User, key: str) -> str:
    """Delete a preset and return its name. Chats that use its settings keep them."""
    preset = _own(user, key)
    count_use(CHAT_CHANGES, user.pk)
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
    """Return the text that the model reads before the conversation: the system prompt and the user's instructions."""
    parts = [chat.system_prompt]
    if chat.user_profile:
        parts.append(
            "About the person you talk with (use it only where the question is about it, and do not mention it "
            f"otherwise): {chat.user_profile}"
        )
    if chat.response_instructions:
        parts.append(f"How the person wants you to answer: {chat.response_instructions}")
    return "\n\n".join(part for part in parts if part)


def clean_instructions(instructions: Mapping[str, str], policy: ChatPolicy) -> dict[str, str]:
    """Return instructions as they are stored. Raise Invalid with the name as field, TypeError for unknown names."""
    unknown = set(instructions) - set(INSTRUCTIONS)
    if unknown:
        raise TypeError(f"unknown instructions: {unknown}")
    limit = policy.instructions_length
    return {name: clean_optional(text, limit=limit, field=name) for name, text in instructions.items()}
