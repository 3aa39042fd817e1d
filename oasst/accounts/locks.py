"""Locks on users. Checks under a lock stay true until the open transaction ends."""

from oasst.accounts.access import require_contributor, require_member
from oasst.accounts.models import User
from oasst.core.locks import advisory_lock


def lock_administrators() -> None:
    """Serialize decisions about administrators until the open transaction ends. Take it before the row of a user."""
    advisory_lock("administrators")


def lock_user(user: User) -> User:
    """Lock the user's row until the open transaction ends, and refresh and return the caller's object."""
    user.refresh_from_db(from_queryset=User.objects.select_for_update(no_key=True))
    return user


def require_member_now(user: User) -> None:
    """Do the same as `access.require_member`, under the lock of `require_contributor_now`."""
    advisory_lock("person", user.pk)
    user.refresh_from_db()
    require_member(user)


def require_contributor_now(user: User) -> None:
    """Do the same as `access.require_contributor`, so that it stays true until the open transaction ends.

    A ban takes the same lock afterwards: it sees all that this transaction stored, and nothing is stored later.
    """
    advisory_lock("person", user.pk)
    user.refresh_from_db()
    require_contributor(user)
