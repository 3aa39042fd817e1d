"""Find the user whom an operator names in a command."""

from uuid import UUID

from django.core.management.base import CommandError

from oasst.accounts.email_owners import find_owner
from oasst.accounts.models import User


def find_named(name: str) -> User | None:
    """Return the user with this id or email address."""
    try:
        return User.objects.filter(pk=UUID(name)).first()
    except ValueError:
        return find_owner(name)


def require_named(name: str) -> User:
    """Return the user with this id or email address. Raise CommandError if there is none."""
    user = find_named(name)
    if user is None:
        raise CommandError(f"There is nobody known as {name}.")
    return user
