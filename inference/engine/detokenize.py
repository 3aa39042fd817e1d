"""Token ids to text while they come: whole characters only, and each id looked at a bounded number of times."""

from collections.abc import Sequence
from typing import Protocol

UNDECIDED = "\ufffd"
"""What a decoder writes for bytes that are no character (yet)."""


class Decoder(Protocol):
    def decode(self, token_ids: list[int]) -> str: ...


class Detokenizer:
    """The difference between decoding with and without the newest ids, so that what a decoder does at the
    beginning of a text (such as dropping a space) happens once and not with each piece.

    Ids of a character that is not complete wait for the rest of it.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._context: list[int] = []  # decoded and given out
        self._waiting: list[int] = []

    def feed(self, token_ids: Sequence[int]) -> str:
        text = ""
        for token_id in token_ids:
            self._waiting.append(token_id)
            text += self._decided()
        return text

    def _decided(self) -> str:
        new = self._new_text()
        if not new or new.endswith(UNDECIDED):
            return ""
        self._context, self._waiting = self._waiting, []
        return new

    def end(self) -> str:
        """What waits at the end: characters that were cut in the middle are left out."""
        new = self._new_text().rstrip(UNDECIDED)
        self._context, self._waiting = [], []
        return new

    def _new_text(self) -> str:
        before = self._decoder.decode(self._context)
        return self._decoder.decode(self._context + self._waiting)[len(before) :]
