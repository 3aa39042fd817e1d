"""Who may see which message."""

from django.db.models import Q, QuerySet

from oasst.accounts.models import User
from trees.models import Message

STANDS = Q(deleted=False, hidden=False)
REMOVED = "(removed)"  # in place of a text that is kept from who reads


def visible_messages(person: User, messages: QuerySet[Message]) -> QuerySet[Message]:
    """What is deleted, or hidden until a moderator decides, is for moderators; everything else is open to every
    contributor. On a message at hand: `Message.is_withheld`.
    """
    return messages if person.is_staff else messages.filter(STANDS)
