"""What changed between two texts, word by word. Pure; the cost is bounded whatever the texts are."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

# Words, runs of blanks, single signs; scripts that write without blanks letter by letter.
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]|[^\W_]+|\s+|[\W_]")
MOST_PAIRS = 250_000
"""Of tokens to compare. Beyond it the whole middle is shown as replaced."""


@dataclass(frozen=True)
class Piece:
    kind: str  # "same", "gone" or "new"
    text: str


def word_diff(before: str, after: str) -> list[Piece]:
    """The pieces of both texts in reading order: without the new ones `before`, without the gone ones `after`."""
    old, new = _TOKEN.findall(before), _TOKEN.findall(after)
    start = _alike(old, new)
    end = _alike(old[start:][::-1], new[start:][::-1])
    middle = _middle(old[start : len(old) - end], new[start : len(new) - end])
    tail = old[len(old) - end :] if end else []
    pieces = [Piece("same", "".join(old[:start])), *middle, Piece("same", "".join(tail))]
    return [piece for piece in pieces if piece.text]


def _alike(old: Sequence[str], new: Sequence[str]) -> int:
    """How many tokens both begin with."""
    return next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))


def _middle(old: Sequence[str], new: Sequence[str]) -> list[Piece]:
    if len(old) * len(new) > MOST_PAIRS:
        return [Piece("gone", "".join(old)), Piece("new", "".join(new))]
    found = []
    for what, a, b, c, d in SequenceMatcher(None, old, new).get_opcodes():
        if what == "equal":
            found.append(Piece("same", "".join(old[a:b])))
        else:
            found += [Piece("gone", "".join(old[a:b])), Piece("new", "".join(new[c:d]))]
    return found
