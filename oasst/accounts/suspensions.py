"""Who was suspended, by keyed hashes of their addresses and names, so that nobody gets rid of a ban by closing the
account and signing up again.

Only HMACs are kept, with a key made from SECRET_KEY: without the key nobody can find out which addresses are in the
table. A hash made with an older key is found while that key stands in SECRET_KEY_FALLBACKS, and never afterwards.
"""

from collections.abc import Iterable

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.utils import timezone
from django.utils.crypto import salted_hmac

from oasst.accounts.email_addresses import mailbox
from oasst.accounts.models import Identity, SuspendedIdentity, User

_SALT = "oasst.accounts.suspended"  # in every stored hash: it does not follow the name of this module


def address(email: str) -> str:
    """What stands for an address of theirs, however it is spelled (`email_addresses.mailbox`)."""
    return _join("address", mailbox(email))


def account(provider: str, uid: str) -> str:
    """What stands for an account at another sign-in service."""
    return _join("account", provider, uid)


def identity(api_client_id: object, auth_method: str, username: str) -> str:
    """What stands for a person as one API client names them."""
    return _join("identity", str(api_client_id), auth_method, username)


def remember(user: User) -> None:
    """Keep the hashes of all that this suspended person comes in with. Again changes nothing."""
    at = user.banned_at or timezone.now()
    rows = [
        SuspendedIdentity(digest=_digest(value), user=user, reason=user.ban_reason, suspended_at=at)
        for value in _names_of(user)
    ]
    SuspendedIdentity.objects.bulk_create(rows, ignore_conflicts=True)


def forget(user: User) -> None:
    """The ban of this person was lifted: nothing that they come in with, or came in with before, is remembered."""
    found = SuspendedIdentity.objects.filter(digest__in=_digests(_names_of(user)))
    earlier = [one for one in found.values_list("user", flat=True) if one is not None]
    SuspendedIdentity.objects.filter(user__in=[user.pk, *earlier]).delete()
    found.delete()


def forget_address(email: str) -> int:
    """An operator lets this address sign up again. Returns how many hashes went."""
    return SuspendedIdentity.objects.filter(digest__in=_digests([address(email)])).delete()[0]


def find(names: Iterable[str]) -> SuspendedIdentity | None:
    """The suspension that one of these names (`address`, `account`, `identity`) is under. One statement."""
    return SuspendedIdentity.objects.filter(digest__in=_digests(names)).order_by("-suspended_at").first()


def _names_of(user: User) -> list[str]:
    """What was proven to be theirs. An address that they only claimed may be somebody else's."""
    known = EmailAddress.objects.filter(user=user).values_list("email", "verified")
    claimed = {email for email, verified in known if not verified}
    emails = {email for email, verified in known if verified}
    if user.email and user.email not in claimed:
        emails.add(user.email)
    accounts = SocialAccount.objects.filter(user=user).values_list("provider", "uid")
    identities = Identity.objects.filter(user=user, api_client__person=None)
    return [
        *(address(email) for email in emails),
        *(account(provider, uid) for provider, uid in accounts),
        *(identity(*one) for one in identities.values_list("api_client", "auth_method", "username")),
    ]


def _digests(names: Iterable[str]) -> list[str]:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [_digest(name, key) for name in names for key in keys]


def _digest(name: str, key: str | None = None) -> str:
    return salted_hmac(_SALT, name, secret=key, algorithm="sha256").hexdigest()


def _join(*parts: str) -> str:
    return "\x1f".join(parts)
