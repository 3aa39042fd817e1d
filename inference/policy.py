"""Sizes and times of the chat: one frozen value, handed to who needs it."""

from dataclasses import dataclass
from functools import cache

from django.conf import settings


@dataclass(frozen=True)
class ChatPolicy:
    queue_limit: int = 200  # turns that wait; then people hear "busy". One person alone may fill half of it
    answers_at_once: int = 8  # written for one person: half of an engine. What they ask beyond that waits in the queue
    drafts: int = 4  # that programs are told to ask for
    queue_seconds: int = 300  # a turn that waits longer is given up
    answer_seconds: int = 300  # one that is answered for longer ends with what it has
    wanted_seconds: float = 30  # after so long without a sign of the process that a caller waits at, nobody waits there
    lease_seconds: float = 10  # after so long without a sign of its engine another one takes over
    fruitless_claims: int = 5  # engines that died at a turn without a word; then it is given up
    message_length: int = 20_000  # characters
    messages_in_chat: int = 2_000
    characters_in_chat: int = 2_000_000  # a chat is read as a whole
    title_length: int = 100
    instructions_length: int = 2_000
    undelete_days: int = 30  # then a deleted chat is gone for good
    ephemeral_seconds: int = 3600  # for so long what a program asked is kept, to be looked into


@cache
def current_policy() -> ChatPolicy:
    """The defaults with what `settings.CHAT_POLICY` changes."""
    return ChatPolicy(**settings.CHAT_POLICY)
