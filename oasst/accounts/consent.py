"""Accept the terms, and withdraw the consent."""

from django.db import transaction
from django.utils import timezone

from oasst.accounts.documents import TERMS
from oasst.accounts.locks import lock_user
from oasst.accounts.models import Consent, User

TERMS_DOCUMENT = "terms"


@transaction.atomic
def accept_terms(user: User) -> None:
    """Record that the user agrees to the current terms, once per version."""
    lock_user(user)
    Consent.objects.get_or_create(user=user, document=TERMS_DOCUMENT, version=TERMS.version, withdrawn_at=None)
    user.terms_version = TERMS.version
    user.save(update_fields=["terms_version"])


@transaction.atomic
def withdraw_terms(user: User) -> None:
    """Withdraw the user's consent. Earlier contributions stay under the terms of their time."""
    lock_user(user)
    Consent.objects.filter(user=user, document=TERMS_DOCUMENT, withdrawn_at=None).update(withdrawn_at=timezone.now())
    user.terms_version = ""
    user.save(update_fields=["terms_version"])


@transaction.atomic
def give_consent(user: User, document: str, version: str) -> None:
    """Record that the user agrees to a document besides the terms, once per version."""
    Consent.objects.get_or_create(user=user, document=document, version=version, withdrawn_at=None)


def withdraw_consent(user: User, document: str) -> None:
    Consent.objects.filter(user=user, document=document, withdrawn_at=None).update(withdrawn_at=timezone.now())


@transaction.atomic
def withdraw_all(user: User) -> None:
    """Withdraw the user's consent to everything, as `withdraw_terms` does for the terms."""
    withdraw_terms(user)
    Consent.objects.filter(user=user, withdrawn_at=None).update(withdrawn_at=timezone.now())
