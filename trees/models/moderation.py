"""Deletions that can be undone."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from oasst.core.ids import uuid7
from trees.models.message import Message
from trees.models.tree import MessageTree


class Deletion(models.Model):
    """One act of deleting: a message with everything below it that was not deleted before.

    Undoing it brings back exactly `message_ids`, not what an earlier deletion had taken.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tree = models.ForeignKey(MessageTree, on_delete=models.CASCADE, related_name="deletions")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="deletions")
    message_ids = ArrayField(models.UUIDField())
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    def __str__(self) -> str:
        return f"deletion of {len(self.message_ids)} messages"
