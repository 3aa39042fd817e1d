"""Recognize suspended users who close their account and sign up again, by hashes of their addresses and names.

The table has only HMACs with a key derived from SECRET_KEY, so without the key it does not reveal addresses. A hash
with an older key is recognized while that key is in SECRET_KEY_FALLBACKS.
"""

from collections.abc import Iterable

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.utils import timezone
from django.utils.crypto import salted_hmac

from oasst.accounts.email_addresses import normalize_mailbox
from oasst.accounts.models import Identity, SuspendedIdentity, User

_SALT = "oasst.accounts.suspended"  # never change it: all stored hashes depend on it


def address_name(email: str) -> str:
    """Return the name of an email address, the same for all its spellings (`email_addresses.normalize_mailbox`)."""
    return _join("address", normalize_mailbox(email))


def account_name(provider: str, uid: str) -> str:
    """Return the name of an account at a sign-in provider."""
    return _join("account", provider, uid)


def identity_name(api_client_id: object, auth_method: str, username: str) -> str:
    """Return the name of a user at an API client."""
    return _join("identity", str(api_client_id), auth_method, username)


def remember(user: User) -> None:
    """Store hashes of everything that this suspended user signs in with. Idempotent."""
    at = user.banned_at or timezone.now()
    rows = [
        SuspendedIdentity(digest=_digest(value), user=user, reason=user.ban_reason, suspended_at=at)
        for value in _names_of(user)
    ]
    SuspendedIdentity.objects.bulk_create(rows, ignore_conflicts=True)


def forget(user: User) -> None:
    """Delete the hashes of a user whose ban is lifted, including those of their earlier accounts."""
    matching = SuspendedIdentity.objects.filter(digest__in=_digests(_names_of(user)))
    earlier = [pk for pk in matching.values_list("user", flat=True) if pk is not None]
    SuspendedIdentity.objects.filter(user__in=[user.pk, *earlier]).delete()
    matching.delete()


def forget_address(email: str) -> int:
    """Let an address sign up again, as an operator decided. Return how many hashes were deleted."""
    return SuspendedIdentity.objects.filter(digest__in=_digests([address_name(email)])).delete()[0]


def find_suspension(names: Iterable[str]) -> SuspendedIdentity | None:
    """Return the suspension of one of these names (`address_name`, `account_name`, `identity_name`), with one query."""
    return SuspendedIdentity.objects.filter(digest__in=_digests(names)).order_by("-suspended_at").first()


def _names_of(user: User) -> list[str]:
    """Return the names of everything that is verified. An unverified address may be somebody else's."""
    addresses = EmailAddress.objects.filter(user=user).values_list("email", "verified")
    claimed = {email for email, verified in addresses if not verified}
    emails = {email for email, verified in addresses if verified}
    if user.email and user.email not in claimed:
        emails.add(user.email)
    accounts = SocialAccount.objects.filter(user=user).values_list("provider", "uid")
    identities = Identity.objects.filter(user=user, api_client__person=None)
    return [
        *(address_name(email) for email in emails),
        *(account_name(provider, uid) for provider, uid in accounts),
        *(identity_name(*row) for row in identities.values_list("api_client", "auth_method", "username")),
    ]


def _digests(names: Iterable[str]) -> list[str]:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [_digest(name, key) for name in names for key in keys]


def _digest(name: str, key: str | None = None) -> str:
    return salted_hmac(_SALT, name, secret=key, algorithm="sha256").hexdigest()


def _join(*parts: str) -> str:
    return "\x1f".join(parts)
