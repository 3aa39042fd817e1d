"""Who may see which message."""

from django.db.models import QuerySet

from oasst.accounts.models import User
from trees.models import Message


def visible_messages(person: User, messages: QuerySet[Message]) -> QuerySet[Message]:
    """Deleted messages are for moderators; everything else is open to every contributor."""
    return messages if person.is_staff else messages.filter(deleted=False)
