"""A conversation to token ids: in the layout that the model was trained with, and so that it fits.

What people wrote never becomes a control token: the layout is rendered with place marks instead of texts, and only what
stands outside of them may become one. For texts without control tokens the ids are those of the usual way.
"""

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from inference.engine.base import Message, Refused

SMALLEST_ANSWER = 64
"""Tokens. A prompt that leaves less room than this (or than was asked for) is refused."""

# Models trained on the OASST layout say so by their tokens, not by a template.
_OASST = (
    "{% for message in messages %}{{ {'system': '<|system|>', 'user': '<|prompter|>', 'assistant': '<|assistant|>'}"
    "[message['role']] + message['content'] + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
_PLAIN = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)


@dataclass(frozen=True)
class Prompt:
    token_ids: list[int]
    max_tokens: int
    """What was asked for, or less where there is less room."""
    dropped_messages: int = 0


class PromptBuilder:
    """`tokenizer` is a fast one of `transformers`; it must not be used by another thread at the same time."""

    def __init__(self, tokenizer: Any, *, context: int) -> None:
        self._tokenizer = tokenizer
        self._context = context
        if not tokenizer.chat_template:
            knows_oasst = "<|prompter|>" in tokenizer.get_vocab()
            tokenizer.chat_template = _OASST if knows_oasst else _PLAIN
        # The tokens that are looked for in raw text, the longest first: one may begin like another.
        names = sorted(tokenizer.get_added_vocab(), key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, names)) or r"(?!)")

    def build(self, messages: Sequence[Message], max_tokens: int) -> Prompt:
        """Keeps the system message and the last message; the oldest turns go first. Raises `Refused`."""
        system, turns = split(messages)
        # By the texts alone first: each is looked at once, so that a long conversation is not rendered once a turn.
        dropped = too_many(system, turns, self._context - max_tokens, lambda text: len(self._plain_tokens(text)))
        turns = turns[dropped:]
        while True:
            token_ids = self.render([*system, *turns])
            if len(token_ids) + max_tokens <= self._context or len(turns) == 1:
                break
            gone = _oldest_turn(turns)
            turns = turns[gone:]
            dropped += gone
        room = self._context - len(token_ids)
        if room < min(max_tokens, SMALLEST_ANSWER):
            raise Refused(
                f"This is too long for the model: {len(token_ids)} tokens, of {self._context} for question and answer.",
                code="too_long",
            )
        return Prompt(token_ids, min(max_tokens, room), dropped)

    def render(self, messages: Sequence[Message]) -> list[int]:
        mark = secrets.token_hex(8)
        marks = [f"{mark}-{number}-" for number in range(len(messages))]
        layout: str = self._tokenizer.apply_chat_template(
            [{"role": one.role, "content": place} for one, place in zip(messages, marks, strict=True)],
            tokenize=False,
            add_generation_prompt=True,
        )
        return self._tokens(layout, {place: one.content for one, place in zip(messages, marks, strict=True)}, mark)

    def _tokens(self, layout: str, texts: dict[str, str], mark: str) -> list[int]:
        token_ids: list[int] = []
        plain = ""  # what lies between two control tokens is tokenized as one piece, as usual
        for part in re.split(rf"({mark}-\d+-)", layout):
            if part in texts:
                plain += texts[part]
                continue
            end = 0
            for control in self._control.finditer(part):
                token_ids += self._plain_tokens(plain + part[end : control.start()])
                token_ids.append(self._tokenizer.convert_tokens_to_ids(control.group()))
                plain, end = "", control.end()
            plain += part[end:]
        return token_ids + self._plain_tokens(plain)

    def _plain_tokens(self, text: str) -> list[int]:
        if not text:
            return []
        # Lone surrogates can not be encoded; a broken client may send them.
        text = text.encode("utf-8", "replace").decode("utf-8")
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return ids


def too_many(system: list[Message], turns: list[Message], room: int, length: Callable[[str], int]) -> int:
    """How many of the oldest messages have to go for the others to fit into `room`; the last one always stays."""
    lengths = [length(one.content) for one in turns]
    total = sum(lengths) + sum(length(one.content) for one in system)
    dropped = 0
    while total > room and dropped < len(turns) - 1:
        gone = _oldest_turn(turns[dropped:])
        total -= sum(lengths[dropped : dropped + gone])
        dropped += gone
    return dropped


def split(messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    if not messages or messages[-1].role != "user" or not messages[-1].content.strip():
        raise Refused("There is nothing to answer: the last message must be a text of the person.", code="empty")
    return [one for one in messages if one.role == "system"], [one for one in messages if one.role != "system"]


def _oldest_turn(turns: list[Message]) -> int:
    """How many messages make up the oldest turn: up to the next question, and never the last message."""
    for number, one in enumerate(turns[1:], start=1):
        if one.role == "user":
            return number
    return len(turns) - 1
