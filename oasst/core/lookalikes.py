"""What names look like: which can be taken for each other, and which can be taken for the people who run the site.

Only to compare, never to show.
"""

import re
import unicodedata
from itertools import pairwise

from disarm import skeleton_key

from oasst.core.invisible import without_ignored

SKELETON_LIMIT = 256
"""Longer skeletons are cut: the column that holds them has an index, whose entries are bounded."""

# Nobody may look like the house, nor may a word of their name.
_RESERVED_NAMES = frozenset(
    {"admin", "administrator", "mod", "moderator", "staff", "support", "system", "root", "oasst"}
    | {"openassistant", "deleteduser"}
)
_ALSO_SURNAMES = frozenset({"root"})  # refused only where it is the whole name
# What is read as a letter and does not look like it, and one letter that the Unicode table lacks.
_SIGNS = {ord(sign): letter for letter, signs in {"a": "@4", "e": "3", "i": "!", "s": "$5"}.items() for sign in signs}
_SIGNS[0x3FB] = "m"
# The letters of flags: Unicode says of none which letter it is.
_SIGNS |= {0x1F1E6 + n: "abcdefghijklmnopqrstuvwxyz"[n] for n in range(26)}
_WORD = re.compile(r"[^\W_]+")


def skeleton(name: str) -> str:
    """What a name looks like: two names that can be taken for each other have the same skeleton.

    It is the skeleton of Unicode TS 39, without case. Accents stay, so José and Jose are two people. Never empty for a
    name that has something to see. At most `SKELETON_LIMIT` characters.
    """
    looks = skeleton_key(without_ignored(name), digit_policy="tr39")
    # An I looks like an l, and case is no difference: so an i is an l as well. The table has rn for m, the library not.
    looks = looks.replace("i\u0307", "i").replace("rn", "m").replace("i", "l")
    return (looks or " ".join(name.casefold().split()))[:SKELETON_LIMIT]


def _as_read(text: str) -> str:
    """As `skeleton`, also without accents, and with the digits and signs that are read as letters."""
    plain = unicodedata.normalize("NFKD", text)
    bare = "".join(c for c in plain if unicodedata.category(c)[0] != "M" and unicodedata.category(c) != "Cf")
    return skeleton(bare.translate(_SIGNS))


_RESERVED_AS_READ = frozenset(map(_as_read, _RESERVED_NAMES))
_RESERVED_WORDS = _RESERVED_AS_READ - frozenset(map(_as_read, _ALSO_SURNAMES))


def poses_as_the_house(name: str) -> bool:
    """Can this name be taken for the people who run the site, or for a deleted account?"""
    # Signs are letters in one reading (adm!n) and stand between words in the other (admin!).
    for text in (_as_read(name), _as_read(" ".join(_WORD.findall(unicodedata.normalize("NFKD", name))))):
        words = _WORD.findall(text)
        pairs = [first + second for first, second in pairwise(words)]
        if "".join(words) in _RESERVED_AS_READ:
            return True
        if any(word in _RESERVED_WORDS or word.removesuffix("s") in _RESERVED_WORDS for word in (*words, *pairs)):
            return True
    return False
