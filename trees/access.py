"""Who may see which message."""

from django.db.models import QuerySet

from oasst.accounts.models import User
from oasst.core.errors import NotAllowed
from trees.models import Message


def visible_messages(person: User, messages: QuerySet[Message]) -> QuerySet[Message]:
    """Deleted messages are for moderators; everything else is open to every contributor."""
    return messages if person.is_staff else messages.filter(deleted=False)


def require_moderator(person: User) -> None:
    """Refuse everybody but moderators and administrators in good standing."""
    if not (person.is_active and person.is_staff):
        raise NotAllowed("This is for moderators.", code="moderators_only")
