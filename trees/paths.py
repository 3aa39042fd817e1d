"""Ways through a tree: from its prompt down to a message, and the whole of it around a message. Never writes."""

from uuid import UUID

from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from trees.models import Message

_UPWARDS = """
    WITH RECURSIVE path AS (
        SELECT id, parent_id FROM trees_message WHERE id = %s
        UNION ALL
        SELECT up.id, up.parent_id FROM trees_message up JOIN path ON up.id = path.parent_id
    )
    SELECT id FROM path
"""


def path_to(message_id: UUID) -> QuerySet[Message]:
    """The message with everything above it, the prompt first; empty when there is no such message."""
    return Message.objects.filter(pk__in=RawSQL(_UPWARDS, [message_id])).order_by("depth")


def tree_around(message_id: UUID) -> QuerySet[Message]:
    """All messages of the tree that holds this one, from the top down, siblings in the order of arrival."""
    tree = Message.objects.filter(pk=message_id).values("tree")
    return Message.objects.filter(tree__in=tree).order_by("depth", "position", "id")
