"""Word-by-word difference between two texts, at a bounded cost."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

# Words, runs of spaces, single characters. Scripts without spaces are compared character by character.
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]|[^\W_]+|\s+|[\W_]")
MAX_PAIRS = 250_000
"""Pairs of tokens to compare. Beyond it, everything between the common start and end counts as replaced."""


@dataclass(frozen=True)
class Piece:
    kind: str  # "same", "gone" or "new"
    text: str


def word_diff(before: str, after: str) -> list[Piece]:
    """Return the pieces of both texts in reading order. "same" and "gone" are `before`, "same" and "new" `after`."""
    old, new = _TOKEN.findall(before), _TOKEN.findall(after)
    start = _common_length(old, new)
    end = _common_length(old[start:][::-1], new[start:][::-1])
    middle = _middle(old[start : len(old) - end], new[start : len(new) - end])
    tail = old[len(old) - end :] if end else []
    pieces = [Piece("same", "".join(old[:start])), *middle, Piece("same", "".join(tail))]
    return [piece for piece in pieces if piece.text]


def _common_length(old: Sequence[str], new: Sequence[str]) -> int:
    """Return how many tokens at the start are equal."""
    return next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))


def _middle(old: Sequence[str], new: Sequence[str]) -> list[Piece]:
    if len(old) * len(new) > MAX_PAIRS:
        return [Piece("gone", "".join(old)), Piece("new", "".join(new))]
    pieces = []
    for operation, a, b, c, d in SequenceMatcher(None, old, new).get_opcodes():
        if operation == "equal":
            pieces.append(Piece("same", "".join(old[a:b])))
        else:
            pieces += [Piece("gone", "".join(old[a:b])), Piece("new", "".join(new[c:d]))]
    return pieces
