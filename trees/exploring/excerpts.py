"""Excerpts of messages with the found words marked, as pieces of plain text that the template escapes."""

import re
from dataclasses import dataclass

from oasst.core.markdown.rendering import plain_excerpt
from trees.word_search import END, MARK

LENGTH = 280
_MARKS = re.compile(f"[{MARK}{END}]")
# As in migration 0030: texts in scripts without spaces are marked here, since PostgreSQL sees no words in them.
_RUN = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9d"
    "\U00020000-\U0003ffff]+"
)
_BEFORE = 60


@dataclass(frozen=True)
class Piece:
    text: str
    is_match: bool


def has_characters(words: str) -> bool:
    """Return True if some of the words are in a script without spaces."""
    return _RUN.search(words) is not None


def plain(text: str) -> list[Piece]:
    """Return the start of a text, without marks."""
    return [Piece(plain_excerpt(_MARKS.sub("", text), LENGTH), is_match=False)]


def marked(part: str) -> list[Piece]:
    """Return the pieces of a part of a text in which each match stands between MARK and END."""
    line = plain_excerpt(part, LENGTH + len(_MARKS.findall(part)))
    pieces, is_match = [], False
    for piece in re.split(f"([{MARK}{END}])", line):
        if piece in (MARK, END):
            is_match = piece == MARK
        elif piece:
            pieces.append(Piece(piece, is_match))
    return pieces


def mark_characters(text: str, words: str) -> str:
    """Return the part of a text around the first found run of characters, with all of them between MARK and END."""
    runs = sorted(set(_RUN.findall(words)), key=len, reverse=True)
    text = _MARKS.sub("", text)
    found = re.compile("|".join(map(re.escape, runs)))
    first = found.search(text)
    start = max(0, first.start() - _BEFORE) if first else 0
    part = found.sub(lambda match: f"{MARK}{match[0]}{END}", text[start : start + 2 * LENGTH])
    return f"…{part}" if start else part
