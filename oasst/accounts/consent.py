"""Agreeing to the terms, and withdrawing that."""

from django.db import transaction
from django.utils import timezone

from oasst.accounts.documents import TERMS
from oasst.accounts.locks import lock_user
from oasst.accounts.models import Consent, User

TERMS_DOCUMENT = "terms"


@transaction.atomic
def accept_terms(user: User) -> None:
    """Record that this person agrees to the terms as they are now. Agreeing twice leaves one record."""
    lock_user(user)
    Consent.objects.get_or_create(user=user, document=TERMS_DOCUMENT, version=TERMS.version, withdrawn_at=None)
    user.terms_version = TERMS.version
    user.save(update_fields=["terms_version"])


@transaction.atomic
def withdraw_terms(user: User) -> None:
    """From now on this person agrees to nothing. What was given before stays under the terms of then."""
    lock_user(user)
    Consent.objects.filter(user=user, document=TERMS_DOCUMENT, withdrawn_at=None).update(withdrawn_at=timezone.now())
    user.terms_version = ""
    user.save(update_fields=["terms_version"])
