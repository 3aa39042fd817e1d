"""What a moderator types to find messages: words, beginnings of words, exact pieces, a pattern, what is not wanted.

bread oven          both words, in any order and any form, in any language
bak*                a word that begins so
"100% rye"          exactly these characters
-oven  -"rye bread" without this word, or without this piece
/colou?rs?/         a pattern: a regular expression
"""

import re
from dataclasses import dataclass

from django.utils.translation import gettext as _

from oasst.core.errors import Invalid

LONGEST = 500
"""Characters of what is typed."""
MAX_PARTS = 20
SHORTEST_BEGINNING = 3
"""Letters of a beginning: of fewer there is no trigram, so no index helps."""
LONGEST_PATTERN = 200
MOST_REPEATED = 1_000
_PART = re.compile(r'/(?P<pattern>\S(?:.*?\S)?)/(?!\S)|(?P<not>-?)"(?P<piece>[^"]*)"?|(?P<word>\S+)')
# One of them is a word, written without spaces around it: their search is by pairs of characters.
_WITHOUT_SPACES = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
_LETTERS = re.compile(r"[^\W_]{3}")
_KNOWN_ESCAPES = frozenset("dDwWsSbBntr")
_REPEATED = re.compile(r"\{(\d*)(?:,(\d*))?\}")


@dataclass(frozen=True)
class Asked:
    words: tuple[str, ...] = ()
    without_words: tuple[str, ...] = ()
    pieces: tuple[str, ...] = ()
    without_pieces: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    """Regular expressions of PostgreSQL, whatever the case of letters."""

    @property
    def is_empty(self) -> bool:
        return not (self.words or self.without_words or self.pieces or self.without_pieces or self.patterns)


def parse(text: str) -> Asked:
    """Raise Invalid `bad_pattern` or `bad_search` with a sentence that says what to change."""
    text = text.replace("\0", " ").encode("utf-8", "replace").decode()
    if len(text) > LONGEST:
        raise Invalid(_("Search for at most %(number)d characters.") % {"number": LONGEST}, code="bad_search")
    found: dict[str, list[str]] = {name: [] for name in Asked.__dataclass_fields__}
    parts = list(_PART.finditer(text))
    if len(parts) > MAX_PARTS:
        raise Invalid(_("Search for at most %(number)d words at once.") % {"number": MAX_PARTS}, code="bad_search")
    for part in parts:
        if part["pattern"] is not None:
            found["patterns"].append(checked_pattern(part["pattern"]))
        elif part["piece"] is not None:
            if part["piece"].strip():
                found["without_pieces" if part["not"] else "pieces"].append(part["piece"])
        else:
            _add_word(part["word"], found)
    return Asked(**{name: tuple(values) for name, values in found.items()})


def _add_word(word: str, found: dict[str, list[str]]) -> None:
    is_unwanted = word.startswith("-") and len(word) > 1
    bare = word.removeprefix("-") if is_unwanted else word
    if bare.endswith("*") and not is_unwanted and (beginning := bare.rstrip("*")):
        if _WITHOUT_SPACES.search(beginning):
            found["words"].append(beginning)
        elif len(beginning) < SHORTEST_BEGINNING:
            raise Invalid(
                _("Type at least %(number)d letters before a *.") % {"number": SHORTEST_BEGINNING}, code="bad_search"
            )
        else:
            found["patterns"].append(rf"\m{_escaped(beginning)}")
        return
    found["without_words" if is_unwanted else "words"].append(bare)


def piece_has_trigram(piece: str) -> bool:
    """Return True if the index of trigrams finds this piece."""
    return bool(_LETTERS.search(piece))


def pattern_has_trigram(pattern: str) -> bool:
    """Return True if the index of trigrams surely finds this pattern: three letters that every match has."""
    if re.search(r"\)[*?{]", pattern):
        return False
    plain = re.sub(r"\\.|\[[^\]]*\]|[^\W_]?\{[^}]*\}|[^\W_][*?]", " ", pattern)
    return all(_LETTERS.search(part) for part in plain.split("|"))


def checked_pattern(pattern: str) -> str:
    r"""Return the pattern for PostgreSQL. Allow what an automaton can do in one pass over a text: no references to what
    was matched before and no looking around, which take time without limit, and few repetitions.

    \b is the edge of a word, as everywhere else.
    """
    if len(pattern) > LONGEST_PATTERN:
        raise _bad(_("A pattern has at most %(number)d characters.") % {"number": LONGEST_PATTERN})
    if pattern.startswith("***") or re.search(r"\(\?(?!:)", pattern):
        raise _bad(_("A pattern cannot look around or set options: only (?:…) may follow a bracket with ?."))
    repeats = 1
    for least, most in _REPEATED.findall(pattern):
        repeats *= max(int(least or 0), int(most or 0), 1)
    if repeats > MOST_REPEATED:
        raise _bad(_("A pattern cannot repeat more than %(number)d times.") % {"number": MOST_REPEATED})
    return re.sub(r"\\(.?)", lambda match: _checked_escape(match[1]), pattern, flags=re.DOTALL)


def _checked_escape(char: str) -> str:
    if not char:
        raise _bad(_(r"A pattern cannot end with \."))
    if char.isdigit():
        raise _bad(_(r"A pattern cannot refer to an earlier part, as \1 does."))
    if char.isalpha() and char not in _KNOWN_ESCAPES:
        raise _bad(_(r"This pattern has an unknown sign: \%(char)s") % {"char": char})
    return {"b": r"\y", "B": r"\Y"}.get(char, rf"\{char}")


def _bad(sentence: str) -> Invalid:
    return Invalid(sentence, code="bad_pattern")


def _escaped(text: str) -> str:
    return re.sub(r"([^\w\s])", r"\\\1", text)
