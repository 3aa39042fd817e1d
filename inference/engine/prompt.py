"""Convert a conversation to token ids, in the chat template of the model, and shorten it to fit the context."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from inference.engine.base import Message, Refused
from inference.engine.chat_template import ChatTemplate

MIN_ANSWER_TOKENS = 64
"""Tokens. A prompt is refused if it leaves less than this, unless less was requested."""


@dataclass(frozen=True)
class Prompt:
    token_ids: list[int]
    max_tokens: int
    """The requested number, or less if the context leaves less."""
    dropped_messages: int = 0


class PromptBuilder:
    """`tokenizer` is a fast tokenizer of `transformers`. Only one thread may use it at a time."""

    def __init__(self, tokenizer: Any, *, context: int) -> None:
        self._template = ChatTemplate(tokenizer)
        self._context = context

    def build(self, messages: Sequence[Message], max_tokens: int) -> Prompt:
        """Return the prompt, without the oldest turns if it is too long. Raise `Refused` if that is not enough."""
        system, turns = split_system_messages(messages)
        # A first estimate by text lengths, so that a long conversation is not rendered again for each dropped turn.
        dropped = messages_to_drop(system, turns, self._context - max_tokens, self._template.count)
        turns = turns[dropped:]
        while True:
            token_ids = self.render([*system, *turns])
            if len(token_ids) + max_tokens <= self._context or len(turns) == 1:
                break
            oldest = _oldest_turn(turns)
            turns = turns[oldest:]
            dropped += oldest
        free = self._context - len(token_ids)
        if free < min(max_tokens, MIN_ANSWER_TOKENS):
            raise Refused(
                f"This is too long for the model: {len(token_ids)} tokens, of {self._context} for question and answer.",
                code="too_long",
            )
        return Prompt(token_ids, min(max_tokens, free), dropped)

    def render(self, messages: Sequence[Message]) -> list[int]:
        return self._template.prompt(messages)


def messages_to_drop(system: list[Message], turns: list[Message], limit: int, length: Callable[[str], int]) -> int:
    """Return how many of the oldest messages to drop so that the others fit into `limit`. The last one always stays."""
    lengths = [length(turn.content) for turn in turns]
    total = sum(lengths) + sum(length(message.content) for message in system)
    dropped = 0
    while total > limit and dropped < len(turns) - 1:
        oldest = _oldest_turn(turns[dropped:])
        total -= sum(lengths[dropped : dropped + oldest])
        dropped += oldest
    return dropped


def split_system_messages(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    if not messages or messages[-1].role != "user" or not messages[-1].content.strip():
        raise Refused("There is nothing to answer: the last message must be a text of the person.", code="empty")
    return [m for m in messages if m.role == "system"], [m for m in messages if m.role != "system"]


def _oldest_turn(turns: list[Message]) -> int:
    """Return the number of messages of the oldest turn: up to the next question, never the last message."""
    for number, turn in enumerate(turns[1:], start=1):
        if turn.role == "user":
            return number
    return len(turns) - 1
