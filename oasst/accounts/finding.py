"""Find people for moderators: by the start of a word of their name, whatever its case and accents, by the name that an
API client knows them by, by their address, or by their id.
"""

import re
import unicodedata
from collections import defaultdict
from functools import cache
from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.db.models import CharField, F, Q, QuerySet, Value
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from oasst.accounts.models import Identity, Role, User

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


SAME: dict[str, str | Promise] = {
    "email": _("the same e-mail address, which at most one of them has proved"),
    "service": _("the same account at another service"),
    "login": _("the same login at another program"),
    "name": _("a name that looks the same"),
}
"""Why an account may be one of the same person, the strongest reason first."""
_MOST_ALIKE = 50
"""Accounts that are looked at for each reason, because many may be called Anna."""


def find_alike(user: User, most: int = 10) -> list[tuple[User, list[str | Promise]]]:
    """Return open accounts without a role that may be of the same person, each with the reasons, the strongest reason
    first. Two statements.
    """
    alike = _alike_ids(user)
    people = User.objects.filter(pk__in=alike, is_active=True, deleted_at=None, role=Role.GENERAL, duties=[])
    found = [(one, [SAME[reason] for reason in SAME if reason in alike[one.pk]]) for one in people]
    strength = [*SAME]
    found.sort(key=lambda pair: (min(strength.index(one) for one in alike[pair[0].pk]), -len(pair[1]), pair[0].pk))
    return found[:most]


def _alike_ids(user: User) -> dict[UUID, set[str]]:
    addresses = EmailAddress.objects.filter(user=user).values("email")
    services = SocialAccount.objects.filter(user=user)
    # Not the names that programs write in, nor those of people's own tokens, which are all the same.
    known = Identity.objects.filter(api_client__person=None).exclude(auth_method="system")
    logins = known.filter(user=user)
    # Programs that say who signed in at a service name them by that service's own id.
    at_services = known.filter(username__in=services.values("uid"), auth_method__in=services.values("provider"))
    of_logins = SocialAccount.objects.filter(
        uid__in=logins.values("username"), provider__in=logins.values("auth_method")
    )
    parts = (
        _reasoned("email", EmailAddress.objects.filter(email__in=addresses), "user"),
        _reasoned("email", EmailAddress.objects.filter(email=user.email or ""), "user"),
        _reasoned("email", User.objects.filter(email__in=addresses), "pk"),
        _reasoned("service", at_services, "user"),
        _reasoned("service", of_logins, "user"),
        _reasoned("login", known.filter(username__in=logins.values("username")), "user"),
        _reasoned("name", User.objects.filter(name_skeleton=user.name_skeleton).exclude(name_skeleton=""), "pk"),
    )
    alike: dict[UUID, set[str]] = defaultdict(set)
    for reason, person_id in parts[0].union(*parts[1:], all=True):
        alike[person_id].add(reason)
    alike.pop(user.pk, None)
    return alike


def _reasoned(reason: str, rows: QuerySet[Any], column: str) -> QuerySet[Any]:
    alike = rows.order_by().annotate(why_alike=Value(reason, CharField()), who=F(column))
    return alike.values_list("why_alike", "who")[:_MOST_ALIKE]


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
