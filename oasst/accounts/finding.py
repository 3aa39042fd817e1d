"""Find people for moderators: by the start of a word of their name, whatever its case and accents, by the name that an
API client knows them by, by their address, or by their id.
"""

import re
import unicodedata
from functools import cache
from uuid import UUID

from django.db.models import Q, QuerySet

from oasst.accounts.models import Identity, User

LONGEST = 200
MAX_WORDS = 8
_LATIN = (*range(0xC0, 0x250), *range(0x1E00, 0x1F00))
_MARKS = "[\u0300-\u036f]*"


def find_people(text: str, people: QuerySet[User] | None = None) -> QuerySet[User]:
    """Return those whose name has words that begin so, or whose address has it, or whose login begins so."""
    people = User.objects.all() if people is None else people
    text = text.replace("\0", " ").encode("utf-8", "replace").decode().strip()[:LONGEST]
    if not text:
        return people.none()
    try:
        return people.filter(pk=UUID(text))
    except ValueError:
        pass
    named = Q()
    for word in text.split()[:MAX_WORDS]:
        named &= Q(display_name__iregex=rf"\m{name_pattern(word)}" if word[0].isalnum() else name_pattern(word))
    logins = Identity.objects.filter(username__startswith=text).values("user")
    return people.filter(named | Q(email__icontains=text) | Q(pk__in=logins))


def name_pattern(word: str) -> str:
    """Return a regular expression of PostgreSQL for this word with or without accents, on either side."""
    letters = unicodedata.normalize("NFKD", word)
    bare = [letter for letter in letters if not unicodedata.combining(letter)]
    return "".join(_one_of(letter) + _MARKS for letter in bare)


def _one_of(letter: str) -> str:
    variants = _variants().get(letter.casefold(), "")
    if variants:
        return f"[{letter}{variants}]"
    return letter if letter.isalnum() else re.sub(r"([^\w\s])", r"\\\1", letter)


@cache
def _variants() -> dict[str, str]:
    """Return the letters with an accent of each letter of the Latin alphabet."""
    found: dict[str, str] = {}
    for point in _LATIN:
        base = unicodedata.normalize("NFD", chr(point))[0].casefold()
        if base.isascii() and base.isalpha():
            found[base] = found.get(base, "") + chr(point)
    for letter, base in (("ø", "o"), ("Ø", "o"), ("ł", "l"), ("Ł", "l"), ("đ", "d"), ("ı", "i"), ("ß", "s")):
        found[base] += letter
    return found
