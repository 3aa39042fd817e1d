"""Decode token ids to text as they arrive: whole characters only, at a bounded cost per id."""

from collections.abc import Sequence
from typing import Protocol

UNDECIDED = "\ufffd"
"""What a decoder writes for bytes of an incomplete or invalid character."""


class Decoder(Protocol):
    def decode(self, token_ids: list[int]) -> str: ...


class Detokenizer:
    """Returns the difference between decoding with and without the newest ids. So what a decoder does at the start of a
    text, such as dropping a space, happens only once. Ids of an incomplete character wait for the rest of it.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._context: list[int] = []  # already returned as text
        self._waiting: list[int] = []

    def feed(self, token_ids: Sequence[int]) -> str:
        text = ""
        for token_id in token_ids:
            self._waiting.append(token_id)
            new = self._new_text()
            if new and not new.endswith(UNDECIDED):
                self._context, self._waiting = self._waiting, []
                text += new
        return text

    def end(self) -> str:
        """Return the rest of the text, without incomplete characters."""
        new = self._new_text().rstrip(UNDECIDED)
        self._context, self._waiting = [], []
        return new

    def _new_text(self) -> str:
        before = self._decoder.decode(self._context)
        return self._decoder.decode(self._context + self._waiting)[len(before) :]
