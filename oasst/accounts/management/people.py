"""Finding the person whom an operator names in a command."""

from uuid import UUID

from django.core.management.base import CommandError

from oasst.accounts.email_owners import find_owner
from oasst.accounts.models import User


def find_named(name: str) -> User | None:
    """The person with this id or e-mail address."""
    try:
        return User.objects.filter(pk=UUID(name)).first()
    except ValueError:
        return find_owner(name)


def person_named(name: str) -> User:
    """As `find_named`. Raises CommandError for nobody."""
    found = find_named(name)
    if found is None:
        raise CommandError(f"There is nobody known as {name}.")
    return found
