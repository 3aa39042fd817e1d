"""Who may see which message."""

from django.db.models import Q, QuerySet

from oasst.accounts.models import User
from oasst.core.errors import NotAllowed
from trees.models import Message, MessageTree


def visible_messages(person: User, messages: QuerySet[Message]) -> QuerySet[Message]:
    """Deleted messages are for moderators; everything else is open to every contributor."""
    return messages if person.is_staff else messages.filter(deleted=False)


def visible_trees(person: User, trees: QuerySet[MessageTree]) -> QuerySet[MessageTree]:
    """A tree is visible while its prompt is."""
    if person.is_staff:
        return trees
    return trees.exclude(messages__in=Message.objects.filter(Q(parent=None), deleted=True))


def require_moderator(person: User) -> None:
    """Refuse everybody but moderators and administrators in good standing."""
    if not (person.is_active and person.is_staff):
        raise NotAllowed("This is for moderators.", code="moderators_only")
