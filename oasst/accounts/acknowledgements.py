"""Thanks in public: a contributor agrees to be named, under a name of their choice, until they withdraw it."""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Lower

from oasst.accounts import consent
from oasst.accounts.locks import lock_user
from oasst.accounts.models import Acknowledgement, User
from oasst.core.errors import Invalid
from oasst.core.ratelimit import PROFILE_CHANGES, count_use
from oasst.core.text.validation import clean_name

DOCUMENT, VERSION = "acknowledgement", "1"
"""What the `Consent` names. A change of what is published needs a new version."""
PAGE_SIZE, MAX_PAGES = 200, 500


@dataclass(frozen=True)
class NamePage:
    names: list[str]
    has_more: bool


def thank_in_public(user: User, name: str) -> None:
    """List the user on the public page under this name. Raise Invalid (the name), Busy."""
    try:
        name = clean_name(name)
    except Invalid as error:
        raise Invalid(error.message, code=error.code, field="name") from error
    count_use(PROFILE_CHANGES, user.pk)
    with transaction.atomic():
        lock_user(user)
        Acknowledgement.objects.update_or_create(user=user, defaults={"name": name})
        consent.give_consent(user, DOCUMENT, VERSION)


def withdraw(user: User) -> None:
    """Take the user off the public page at once. Raise Busy."""
    count_use(PROFILE_CHANGES, user.pk)
    with transaction.atomic():
        lock_user(user)
        Acknowledgement.objects.filter(user=user).delete()
        consent.withdraw_consent(user, DOCUMENT)


def find_name(user: User) -> str:
    """Return the name under which the user is thanked, or ""."""
    return Acknowledgement.objects.filter(user=user).values_list("name", flat=True).first() or ""


def names_on_page(number: int) -> NamePage:
    """Return a page, from 1, of the public list in alphabetical order, without suspended people. One statement.

    By number, because a cursor would tell the ids of people, beside their names.
    """
    start = (number - 1) * PAGE_SIZE
    names = _listed().order_by(Lower("name"), "user").values_list("name", flat=True)
    found = list(names[start : start + PAGE_SIZE + 1])
    return NamePage(found[:PAGE_SIZE], has_more=len(found) > PAGE_SIZE)


def _listed() -> QuerySet[Acknowledgement]:
    return Acknowledgement.objects.filter(user__enabled=True, user__is_active=True, user__deleted_at=None)
