"""Recognize suspended users who close their account and sign up again, by hashes of their addresses and names.

The table has only HMACs with a key derived from SECRET_KEY, so without the key it does not reveal addresses. A hash
with an older key is recognized while that key is in SECRET_KEY_FALLBACKS.
"""

from collections.abc import Iterable, Mapping

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac

from oasst.accounts.email_addresses import normalize_mailbox
from oasst.accounts.models import Identity, SuspendedIdentity, User
from oasst.core.audit.putting_back import Changes, is_still, set_columns
from oasst.core.audit.rows import Columns

TABLE = "suspended"
"""What an entry of the audit log calls these hashes. Pages do not show them."""
COLUMNS = ("user_id", "reason", "suspended_at", "until")
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
    facts = {"user": user, "reason": user.ban_reason, "suspended_at": at, "until": user.banned_until}
    rows = [SuspendedIdentity(digest=_digest(value), **facts) for value in _names_of(user)]
    SuspendedIdentity.objects.bulk_create(rows, ignore_conflicts=True)
    SuspendedIdentity.objects.filter(user=user).update(until=user.banned_until)  # the ban may have been changed


def forget(user: User) -> None:
    """Delete the hashes of a user whose ban is lifted, including those of their earlier accounts."""
    known_of(user).delete()


def known_of(user: User) -> QuerySet[SuspendedIdentity]:
    """Return the hashes of this user, including those of their earlier accounts. Four statements to find these."""
    digests = _digests(_names_of(user))
    matching = SuspendedIdentity.objects.filter(digest__in=digests).exclude(user=None)
    people = {user.pk, *matching.values_list("user", flat=True)}
    return SuspendedIdentity.objects.filter(Q(digest__in=digests) | Q(user__in=people))


def put_back(changes: Changes) -> None:
    """Make the hashes what they were before a ban or its end changed them, as its entry in the audit log has them.

    What an operator forgot, or what was remembered again, since then is no obstacle.
    """
    before, after = changes.before.get(TABLE, {}), changes.after.get(TABLE, {})
    SuspendedIdentity.objects.filter(pk__in=[pk for pk in after if before.get(pk) is None]).delete()
    rows = [SuspendedIdentity(pk=pk) for pk, new in after.items() if new is None]
    people = {str(pk) for pk in User.objects.filter(pk__in=_people_of(before)).values_list("pk", flat=True)}
    for row in rows:
        set_columns(row, before[row.pk] or {})
        row.user_id = row.user_id if str(row.user_id) in people else None  # the account may be deleted by now
    SuspendedIdentity.objects.bulk_create(rows, ignore_conflicts=True)
    for row in SuspendedIdentity.objects.filter(pk__in=[pk for pk, new in after.items() if new and before.get(pk)]):
        if is_still(row, after[row.pk] or {}):
            set_columns(row, before[row.pk] or {})
            row.save()


def _people_of(rows: Mapping[str, Columns | None]) -> set[str]:
    return {row["user_id"] for row in rows.values() if row and row.get("user_id")}


def forget_address(email: str) -> int:
    """Let an address sign up again, as an operator decided. Return how many hashes were deleted."""
    return SuspendedIdentity.objects.filter(digest__in=_digests([address_name(email)])).delete()[0]


def find_suspension(names: Iterable[str]) -> SuspendedIdentity | None:
    """Return the suspension of one of these names (`address_name`, `account_name`, `identity_name`) that is in force,
    with one query.
    """
    in_force = SuspendedIdentity.objects.exclude(until__lte=timezone.now())
    return in_force.filter(digest__in=_digests(names)).order_by("-suspended_at").first()


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
