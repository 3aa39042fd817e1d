"""Locks on people. What is asked under them is exact until the open transaction ends."""

from oasst.accounts.access import require_contributor, require_member
from oasst.accounts.models import User
from oasst.core.locks import advisory_lock


def lock_administrators() -> None:
    """Decisions about administrators go one after the other, until the open transaction ends. Taken before the row of
    a person.
    """
    advisory_lock("administrators")


def lock_user(user: User) -> User:
    """The person's row, fresh and held until the open transaction ends. The caller's object is brought up to date."""
    user.refresh_from_db(from_queryset=User.objects.select_for_update(no_key=True))
    return user


def require_member_now(user: User) -> None:
    """As `access.require_member`, and as exact as `require_contributor_now`."""
    advisory_lock("person", user.pk)
    user.refresh_from_db()
    require_member(user)


def require_contributor_now(user: User) -> None:
    """As `access.require_contributor`, but exact until the open transaction ends: whoever bans this person and then
    takes the same lock sees all that this transaction stored, and nothing is stored afterwards.
    """
    advisory_lock("person", user.pk)
    user.refresh_from_db()
    require_contributor(user)
