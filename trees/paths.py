"""The whole of a tree around a message. Never writes."""

from uuid import UUID

from django.db.models import QuerySet

from trees.models import Message


def tree_around(message_id: UUID) -> QuerySet[Message]:
    """All messages of the tree that holds this one, from the top down, siblings in the order of arrival."""
    tree = Message.objects.filter(pk=message_id).values("tree")
    return Message.objects.filter(tree__in=tree).order_by("depth", "position", "id")
