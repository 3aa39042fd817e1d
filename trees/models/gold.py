"""Messages whose right verdict is known."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from trees.lifecycle.states import REVIEW_WORK
from trees.models.message import Message, Revision


class GoldMessage(models.Model):
    """A message whose right verdict is known. Now and then somebody reviews it like any other; the answer says how they
    review and changes nothing about the message (`Review.Kind.GOLD`).
    """

    class Source(models.TextChoices):
        MARKED = "marked", "An administrator"
        UNANIMOUS = "unanimous", "All reviewers agreed"

    message = models.OneToOneField(Message, on_delete=models.CASCADE, primary_key=True, related_name="gold")
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="+", help_text="The judged text.")
    lang = models.CharField(max_length=32)
    work = models.CharField(max_length=32, choices=[(work.value, work.value) for work in sorted(REVIEW_WORK)])
    good = models.BooleanField(help_text="The right verdict: keep it.")
    source = models.CharField(max_length=16, choices=Source.choices)
    # False after somebody ended it; the row remains, so that it is not found again.
    active = models.BooleanField(default=True)
    draw = models.FloatField(editable=False, help_text="A random number from 0 to 1: the order of drawing.")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [
            # One is drawn by a random point on this index.
            models.Index(
                fields=["lang", "work", "good", "draw"], condition=models.Q(active=True), name="gold_message_draw"
            ),
        ]

    def __str__(self) -> str:
        return f"gold message {self.message_id}"  # without its text: the admin log keeps this, also after a purge
