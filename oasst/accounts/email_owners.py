"""Find the user who has verified an email address."""

from allauth.account.models import EmailAddress
from django.db import transaction

from oasst.accounts.models import User


def find_owner(email: str) -> User | None:
    """Return the user who has verified this address.

    Compare exactly, in lower case: if PostgreSQL ignores case, it also equates ı with i and ſ with s, but `gmaıl.com`
    is not `gmail.com`.
    """
    email = email.lower()
    address = EmailAddress.objects.filter(email=email, verified=True).select_related("user").first()
    if address:
        return address.user
    # Without an EmailAddress, an operator has entered the address. A user's unverified claim has an unverified row.
    unverified = EmailAddress.objects.filter(email=email, verified=False)
    return User.objects.filter(email=email).exclude(pk__in=unverified.values("user")).first()


@transaction.atomic
def drop_unverified_claims(email: str, *, but_of: User | None = None) -> None:
    """Remove unverified claims of other users to this address, whose owner has just verified it."""
    if find_owner(email) is None:
        owners = [but_of.pk] if but_of else []
        User.objects.filter(email=email).exclude(pk__in=owners).update(email=None)
        EmailAddress.objects.filter(email=email, verified=False).exclude(user__in=owners).delete()
