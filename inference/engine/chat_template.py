"""Convert conversations to token ids in the chat template of a model, for its answers and for its training.

Texts of users never become control tokens: the template is rendered with marks instead of the texts, and only its own
parts may become control tokens. For texts without control tokens the ids are the usual ones.
"""

import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import TemplateError

from inference.engine.base import Message

# Models trained on the OASST layout have its tokens but no template.
_OASST = (
    "{% for message in messages %}{{ {'system': '<|system|>', 'user': '<|prompter|>', 'assistant': '<|assistant|>'}"
    "[message['role']] + message['content'] + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
_PLAIN = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)
_PLAIN_WITH_END = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


class BadTemplate(Exception):
    """The chat template cannot lay out a conversation, or not so that it could be trained. The message says why."""


@dataclass
class Tokens:
    """A conversation as a model reads it."""

    ids: list[int] = field(default_factory=list)
    is_answer: list[bool] = field(default_factory=list)
    """For each id, whether the assistant says it: its words, and the token that ends them."""

    def add(self, ids: Sequence[int], *, is_answer: bool) -> None:
        self.ids += ids
        self.is_answer += [is_answer] * len(ids)

    def __len__(self) -> int:
        return len(self.ids)


class ChatTemplate:
    """The template of a fast tokenizer of `transformers`. Only one thread may use it at a time.

    A tokenizer without a template gets one; `for_training` chooses one in which answers end with a token.
    """

    def __init__(self, tokenizer: Any, *, for_training: bool = False) -> None:
        self._tokenizer = tokenizer
        if not tokenizer.chat_template:
            knows_oasst = "<|prompter|>" in tokenizer.get_vocab()
            plain = _PLAIN_WITH_END if for_training else _PLAIN
            tokenizer.chat_template = _OASST if knows_oasst else plain
        # Longest first, because one control token may be the start of another.
        names = sorted(tokenizer.get_added_vocab(), key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, names)) or r"(?!)")

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the ids of a conversation that the assistant is about to continue. Raise BadTemplate."""
        marks = _Marks(messages)
        return self._ids(marks.split(self._layout(marks, len(messages), asks=True)))

    def conversation(self, messages: Sequence[Message]) -> Tokens:
        """Return a conversation with what the assistant says in it.

        An answer begins where the prompt for it ends, so its tokens are those that the model will have to generate.
        Raise BadTemplate if the template lays out what was said differently once there is an answer, or if nothing
        ends an answer.
        """
        marks, tokens, done = _Marks(messages), Tokens(), 0
        whole = self._layout(marks, len(messages))
        for number in [number for number, message in enumerate(messages) if message.role == "assistant"]:
            prompt = self._layout(marks, number, asks=True)
            if not whole.startswith(prompt) or len(prompt) < done:
                raise BadTemplate("The chat template lays out a question differently once it is answered.")
            end = self._end_of_answer(whole, marks.end(whole, number))
            tokens.add(self._ids(marks.split(whole[done : len(prompt)])), is_answer=False)
            tokens.add(self._ids(marks.split(whole[len(prompt) : end])), is_answer=True)
            done = end
        tokens.add(self._ids(marks.split(whole[done:])), is_answer=False)
        return tokens

    def count(self, text: str) -> int:
        """Return the number of tokens of a text alone."""
        return len(self._plain(text))

    def _layout(self, marks: "_Marks", number: int, *, asks: bool = False) -> str:
        """Return the first messages, with marks instead of their texts. Raise BadTemplate."""
        blank = marks.blank[:number]
        try:
            layout: str = self._tokenizer.apply_chat_template(blank, tokenize=False, add_generation_prompt=asks)
        except TemplateError as error:  # such as for a system message, which some do not know
            raise BadTemplate(f"The chat template refuses the conversation: {error}") from error
        return layout

    def _end_of_answer(self, layout: str, start: int) -> int:
        """Return the position behind the first control token after an answer that ends at `start`."""
        found = self._control.search(layout, start)
        if found is None or layout[start : found.start()].strip():
            raise BadTemplate("The chat template does not end an answer with a token, so a model would never stop.")
        return found.end()

    def _ids(self, parts: Iterator[tuple[str, bool]]) -> list[int]:
        """Return the ids of a layout in parts: what the template says, and texts."""
        ids: list[int] = []
        plain = ""  # text between two control tokens is tokenized as one piece, as usual
        for part, is_text in parts:
            if is_text:
                plain += part
                continue
            end = 0
            for control in self._control.finditer(part):
                ids += self._plain(plain + part[end : control.start()])
                ids.append(self._tokenizer.convert_tokens_to_ids(control.group()))
                plain, end = "", control.end()
            plain += part[end:]
        return ids + self._plain(plain)

    def _plain(self, text: str) -> list[int]:
        if not text:
            return []
        # Lone surrogates, which a broken client may send, cannot be encoded.
        text = text.encode("utf-8", "replace").decode("utf-8")
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return ids


class _Marks:
    """Marks that stand for the texts of messages while a template is rendered. Nobody can guess them."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._mark = secrets.token_hex(8)
        self._texts = {self._name(number): message.content for number, message in enumerate(messages)}
        self.blank = [{"role": one.role, "content": name} for one, name in zip(messages, self._texts, strict=True)]

    def _name(self, number: int) -> str:
        return f"{self._mark}-{number}-"

    def end(self, layout: str, number: int) -> int:
        """Return the position behind the mark of a message. Raise BadTemplate if the template leaves it out."""
        name = self._name(number)
        start = layout.find(name)
        if start < 0:
            raise BadTemplate("The chat template leaves out an answer.")
        return start + len(name)

    def split(self, layout: str) -> Iterator[tuple[str, bool]]:
        """Yield the parts of a layout, and for each whether it is the text of a message."""
        for part in re.split(rf"({self._mark}-\d+-)", layout):
            yield self._texts.get(part, part), part in self._texts
