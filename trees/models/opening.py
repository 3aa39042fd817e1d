"""Openings: one row is work on one message for one person."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.utils import timezone

from trees.hot import OpeningManager
from trees.lifecycle.states import Work
from trees.models.message import Message
from trees.models.tree import MessageTree


class Opening(models.Model):
    """An opening: one person's work on one message. `transitions.advance` creates and deletes openings; handing out a
    task holds one for a while. The cost of finding one depends on the open work, not on the number of finished trees.
    """

    tree = models.ForeignKey(MessageTree, on_delete=models.CASCADE, related_name="openings")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="openings")
    work = models.CharField(max_length=32, choices=[(work.value, work.value) for work in Work])
    lang = models.CharField(max_length=32)
    priority = models.IntegerField(default=0, help_text="Higher is handed out first.")
    # Set by trees.quality, for a day at most; nobody else writes it.
    deferred = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Machines expect that its message will be rejected: others of the same priority come first.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    # The hold of the user who works on it. trees does not import tasks, so the lease is an id, not a foreign key.
    holder = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    lease = models.UUIDField(null=True, blank=True, unique=True)
    held_until = models.DateTimeField(null=True, blank=True)

    objects = OpeningManager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(holder=None, lease=None, held_until=None)
                | models.Q(holder__isnull=False, lease__isnull=False, held_until__isnull=False),
                name="opening_held_whole",
            ),
        ]
        indexes = [
            # Handing out work reads this index from its start: one language and kind of work, highest priority first.
            models.Index(fields=["lang", "work", "-priority", "deferred", "id"], name="opening_draw"),
        ]

    def __str__(self) -> str:
        return f"{self.work} on {self.message_id}"

    def is_held(self, now: datetime) -> bool:
        return self.held_until is not None and self.held_until > now
