"""Recognize names that look like another name, or like the people who run the site. Only for comparing."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

from disarm import skeleton_key

from oasst.core.text.invisible import without_ignored

SKELETON_LIMIT = 256
"""Longer skeletons are cut, because their column has an index, whose entries are limited."""

# No name, nor a word of it, may look like one of these.
_RESERVED_NAMES = frozenset(
    {"admin", "administrator", "mod", "moderator", "operator", "auditor", "staff", "support", "system", "root", "oasst"}
    | {"openassistant", "deleteduser"}
)
# "mod" and "admin" in other scripts, then administrators, moderators and support in the languages of the menu.
# Words that are also personal names are left out: Moderata, \u0645\u0634\u0631\u0641.
_IN_OTHER_LANGUAGES = """
    админ адмін админка модер администратор адміністратор модератор поддержка підтримка администрация адміністрація
    administratorin moderatorin moderatorka administratorka administrateur administratrice moderateur moderatrice
    administrador administradora administradores moderador moderadora moderadores soporte suporte
    amministratore amministratrice amministratori moderatore moderatrice moderatori supporto
    beheerder yonetici yllapitaja rendszergazda pengelola quantrivien
    διαχειριστης συντονιστης מנהל مدير المدير مدیر ادمین أدمن व्यवस्थापक प्रशासक মডারেটর প্রশাসক ผู้ดูแล ผู้ดูแลระบบ
    管理员 管理員 版主 客服 管理者 管理人 運営 モデレーター サポート 관리자 운영자 모더레이터
"""
# Written without spaces and in no ordinary name, so these count anywhere in a name.
_INSIDE_WORDS = ("管理员", "管理員", "管理者", "관리자")
_ALSO_SURNAMES = frozenset({"root"})  # refused only as the whole name
# Characters that are read as a letter without looking like it, and one that the Unicode table lacks.
_SIGNS = {ord(sign): letter for letter, signs in {"a": "@4", "e": "3", "i": "!", "s": "$5"}.items() for sign in signs}
_SIGNS[0x3FB] = "m"
# Regional indicators (the letters of flags), which Unicode does not map to letters.
_SIGNS |= {0x1F1E6 + n: "abcdefghijklmnopqrstuvwxyz"[n] for n in range(26)}
_WORD = re.compile(r"[^\W_]+")
_EDGE_DIGITS = re.compile(r"(?<![^\W_])\d+|\d+(?![^\W_])")


def skeleton(name: str) -> str:
    """Return the same skeleton for names that look alike.

    It is the skeleton of Unicode TS 39 without case, spaces and trailing punctuation. Accents stay, so José and Jose
    differ. Never empty for a visible name, and at most `SKELETON_LIMIT` characters.
    """
    letters = "".join(_confusable_key("".join(name.split())).split())
    return (_without_end(letters) or letters or " ".join(name.casefold().split()))[:SKELETON_LIMIT]


def _confusable_key(text: str) -> str:
    key = skeleton_key(without_ignored(text), digit_policy="tr39")
    # "I" looks like "l" and case is ignored, so "i" equals "l" too. The library lacks "rn" for "m" of the table.
    return key.replace("i\u0307", "i").replace("rn", "m").replace("i", "l")


def _without_end(text: str) -> str:
    """Drop trailing punctuation: "Dana (demo)." equals "Dana (demo)"."""
    end = len(text)
    while end and unicodedata.category(text[end - 1])[0] == "P":
        end -= 1
    return text[:end]


def _as_read(text: str) -> str:
    """Return the confusable key without accents, with digits and signs as the letters that they stand for."""
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(c for c in decomposed if unicodedata.category(c)[0] != "M" and unicodedata.category(c) != "Cf")
    return _confusable_key(bare.translate(_SIGNS))


_RESERVED_AS_READ = frozenset(map(_as_read, _RESERVED_NAMES.union(_IN_OTHER_LANGUAGES.split())))
_RESERVED_WORDS = _RESERVED_AS_READ - frozenset(map(_as_read, _ALSO_SURNAMES))
_INSIDE_AS_READ = tuple(map(_as_read, _INSIDE_WORDS))


def impersonates_staff(name: str) -> bool:
    """Return True for a name that looks like the people who run the site, or like a deleted account."""
    return any(_has_reserved_word(_as_read(text)) for text in _readings(name))


def _readings(name: str) -> Iterator[str]:
    """Yield variants: signs as letters (adm!n) or separators (admin!), digits as letters (m0d) or numbers (admin1)."""
    plain = unicodedata.normalize("NFKD", name)
    for text in (plain, " ".join(_WORD.findall(plain))):
        yield text
        yield _EDGE_DIGITS.sub("", text)


def _has_reserved_word(text: str) -> bool:
    words = _WORD.findall(text)
    pairs = [first + second for first, second in pairwise(words)]
    joined = "".join(words)
    if joined in _RESERVED_AS_READ or any(word in joined for word in _INSIDE_AS_READ):
        return True
    return any(word in _RESERVED_WORDS or word.removesuffix("s") in _RESERVED_WORDS for word in (*words, *pairs))
