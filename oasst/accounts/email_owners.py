"""Whose mailbox an address is, as far as it was ever proven."""

from allauth.account.models import EmailAddress
from django.db import transaction

from oasst.accounts.models import User


def find_owner(email: str) -> User | None:
    """Whose mailbox this is, as far as it was ever proven.

    Compared exactly, in the lower case in which addresses are stored: PostgreSQL also takes ı for i and ſ for s when
    it ignores case, and the mail to `gmaıl.com` goes to somebody else than the one to `gmail.com`.
    """
    email = email.lower()
    address = EmailAddress.objects.filter(email=email, verified=True).select_related("user").first()
    if address:
        return address.user
    # An address that only stands on the person was given by an operator; one that somebody else typed in and never
    # proved has an unverified row beside it.
    unproven = EmailAddress.objects.filter(email=email, verified=False)
    return User.objects.filter(email=email).exclude(pk__in=unproven.values("user")).first()


@transaction.atomic
def drop_unproven_claims(email: str, *, but_of: User | None = None) -> None:
    """Whoever else claims this address without proof loses it, since its owner is here. Proven claims stay."""
    if find_owner(email) is None:
        owners = [but_of.pk] if but_of else []
        User.objects.filter(email=email).exclude(pk__in=owners).update(email=None)
        EmailAddress.objects.filter(email=email, verified=False).exclude(user__in=owners).delete()
