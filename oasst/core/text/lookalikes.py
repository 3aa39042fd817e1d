"""What names look like: which can be taken for each other, and which can be taken for the people who run the site.

Only to compare, never to show.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

from disarm import skeleton_key

from oasst.core.text.invisible import without_ignored

SKELETON_LIMIT = 256
"""Longer skeletons are cut: the column that holds them has an index, whose entries are bounded."""

# Nobody may look like the house, nor may a word of their name.
_RESERVED_NAMES = frozenset(
    {"admin", "administrator", "mod", "moderator", "staff", "support", "system", "root", "oasst"}
    | {"openassistant", "deleteduser"}
)
# "mod" and "admin" in other scripts, then administrators, moderators and support in the languages that pages offer.
# Left out is what people are called: Moderata, \u0645\u0634\u0631\u0641.
_IN_OTHER_LANGUAGES = """
    админ адмін админка модер администратор адміністратор модератор поддержка підтримка администрация адміністрація
    administratorin moderatorin moderatorka administratorka administrateur administratrice moderateur moderatrice
    administrador administradora administradores moderador moderadora moderadores soporte suporte
    amministratore amministratrice amministratori moderatore moderatrice moderatori supporto
    beheerder yonetici yllapitaja rendszergazda pengelola quantrivien
    διαχειριστης συντονιστης מנהל مدير المدير مدیر ادمین أدمن व्यवस्थापक प्रशासक মডারেটর প্রশাসক ผู้ดูแล ผู้ดูแลระบบ
    管理员 管理員 版主 客服 管理者 管理人 運営 モデレーター サポート 관리자 운영자 모더레이터
"""
# Written without blanks between words, and in no name but such: these count wherever they stand.
_INSIDE_WORDS = ("管理员", "管理員", "管理者", "관리자")
_ALSO_SURNAMES = frozenset({"root"})  # refused only where it is the whole name
# What is read as a letter and does not look like it, and one letter that the Unicode table lacks.
_SIGNS = {ord(sign): letter for letter, signs in {"a": "@4", "e": "3", "i": "!", "s": "$5"}.items() for sign in signs}
_SIGNS[0x3FB] = "m"
# The letters of flags: Unicode says of none which letter it is.
_SIGNS |= {0x1F1E6 + n: "abcdefghijklmnopqrstuvwxyz"[n] for n in range(26)}
_WORD = re.compile(r"[^\W_]+")
_EDGE_DIGITS = re.compile(r"(?<![^\W_])\d+|\d+(?![^\W_])")


def skeleton(name: str) -> str:
    """What a name looks like: two names that can be taken for each other have the same skeleton.

    It is the skeleton of Unicode TS 39, without case, blanks and the punctuation at the end. Accents stay, so José and
    Jose are two people. Never empty for a name that has something to see. At most `SKELETON_LIMIT` characters.
    """
    looks = _looks("".join(name.split()))
    looks = "".join(looks.split())
    return (_without_end(looks) or looks or " ".join(name.casefold().split()))[:SKELETON_LIMIT]


def _looks(text: str) -> str:
    looks = skeleton_key(without_ignored(text), digit_policy="tr39")
    # An I looks like an l, and case is no difference: so an i is an l as well. The table has rn for m, the library not.
    return looks.replace("i\u0307", "i").replace("rn", "m").replace("i", "l")


def _without_end(looks: str) -> str:
    """Without the punctuation at the end: "Dana (demo)." and "Dana (demo)"."""
    end = len(looks)
    while end and unicodedata.category(looks[end - 1])[0] == "P":
        end -= 1
    return looks[:end]


def _as_read(text: str) -> str:
    """What it looks like, also without accents, and with the digits and signs that are read as letters."""
    plain = unicodedata.normalize("NFKD", text)
    bare = "".join(c for c in plain if unicodedata.category(c)[0] != "M" and unicodedata.category(c) != "Cf")
    return _looks(bare.translate(_SIGNS))


_RESERVED_AS_READ = frozenset(map(_as_read, _RESERVED_NAMES.union(_IN_OTHER_LANGUAGES.split())))
_RESERVED_WORDS = _RESERVED_AS_READ - frozenset(map(_as_read, _ALSO_SURNAMES))
_INSIDE_AS_READ = tuple(map(_as_read, _INSIDE_WORDS))


def poses_as_the_house(name: str) -> bool:
    """Can this name be taken for the people who run the site, or for a deleted account?"""
    return any(_has_reserved_word(_as_read(text)) for text in _readings(name))


def _readings(name: str) -> Iterator[str]:
    """Signs are letters in one reading (adm!n) and stand between words in another (admin!); and so with the digits
    around a word, which are letters (m0d) or count (admin1).
    """
    plain = unicodedata.normalize("NFKD", name)
    for text in (plain, " ".join(_WORD.findall(plain))):
        yield text
        yield _EDGE_DIGITS.sub("", text)


def _has_reserved_word(text: str) -> bool:
    words = _WORD.findall(text)
    pairs = [first + second for first, second in pairwise(words)]
    whole = "".join(words)
    if whole in _RESERVED_AS_READ or any(word in whole for word in _INSIDE_AS_READ):
        return True
    return any(word in _RESERVED_WORDS or word.removesuffix("s") in _RESERVED_WORDS for word in (*words, *pairs))
