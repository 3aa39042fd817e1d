"""Word-by-word difference between two texts, at a bounded cost."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache


def _marks() -> str:
    """Return the ranges of characters that belong to the one before: accents, vowel signs, joiners."""
    points = [point for point in range(0x300, 0x20000) if unicodedata.category(chr(point))[0] == "M"]
    points += [0x200D, *range(0xFE00, 0xFE10), *range(0x1F3FB, 0x1F400)]
    return "".join(f"\\U{point:08x}" for point in points)


# Scripts without spaces between words: kana, Han, Thai, Lao, Myanmar, Khmer, Tibetan.
_SPACELESS = (
    r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    r"\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"
)


@cache
def _token() -> re.Pattern[str]:
    """Match words, runs of spaces, single characters, each with its marks; scripts without spaces by characters."""
    mark = f"[{_marks()}]"
    return re.compile(rf"[{_SPACELESS}]{mark}*|(?:(?![{_SPACELESS}])[^\W_]{mark}*)+|\s+|[\W_]{mark}*")


MAX_PAIRS = 250_000
"""Pairs of tokens to compare. Beyond it, everything between the common start and end counts as replaced."""


@dataclass(frozen=True)
class Piece:
    kind: str  # "same", "gone" or "new"
    text: str


def word_diff(before: str, after: str) -> list[Piece]:
    """Return the pieces of both texts in reading order. "same" and "gone" are `before`, "same" and "new" `after`."""
    old, new = _token().findall(before), _token().findall(after)
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


def side_by_side(pieces: Sequence[Piece], around: int = 160, longest: int = 4_000) -> tuple[list[Piece], list[Piece]]:
    """Return the two texts of a difference for two columns, each at a bounded length.

    Of long equal parts, `around` characters stay at each end; parts that differ are cut after `longest`.
    """
    old: list[Piece] = []
    new: list[Piece] = []
    for place, piece in enumerate(pieces):
        if piece.kind == "same":
            short = _shortened(piece.text, around, is_first=place == 0, is_last=place == len(pieces) - 1)
            old.append(Piece("same", short))
            new.append(Piece("same", short))
        else:
            text = piece.text if len(piece.text) <= longest else piece.text[:longest] + " […]"
            (old if piece.kind == "gone" else new).append(Piece(piece.kind, text))
    return old, new


def _shortened(text: str, around: int, *, is_first: bool, is_last: bool) -> str:
    if len(text) <= 3 * around:
        return text
    start = "" if is_first else text[:around]
    end = "" if is_last else text[-around:]
    return f"{start} […] {end}" if start or end else f"{text[:around]} […]"
