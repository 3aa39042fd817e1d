"""Sizes and times of the chat, as one frozen value."""

from dataclasses import dataclass
from functools import cache

from django.conf import settings


@dataclass(frozen=True)
class ChatPolicy:
    queue_limit: int = 200  # waiting turns; one user alone may fill half of it
    answers_at_once: int = 8  # in progress for one user: half of an engine. More of them wait in the queue
    drafts: int = 4  # suggested to API clients
    queue_seconds: int = 300  # a turn that waits longer times out
    answer_seconds: int = 300  # an answer that takes longer times out and keeps its text
    wanted_seconds: float = 30  # a turn whose caller does not renew it for so long ends
    lease_seconds: float = 10  # without a checkpoint for so long, another engine takes over
    fruitless_claims: int = 5  # engines that die at a turn without progress before it fails
    message_length: int = 20_000  # characters
    messages_in_chat: int = 2_000
    characters_in_chat: int = 2_000_000  # because a chat is read as a whole
    title_length: int = 100
    instructions_length: int = 2_000
    undelete_days: int = 30  # then a deleted chat is removed for good
    ephemeral_seconds: int = 3600  # how long requests of API clients are kept for debugging


@cache
def current_policy() -> ChatPolicy:
    """Return the defaults, changed by `settings.CHAT_POLICY`."""
    return ChatPolicy(**settings.CHAT_POLICY)
