"""What people say about answers."""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from inference.models.chat import ChatMessage


class Vote(models.Model):
    """One person's present thumb on an answer; taking it back removes the row."""

    message = models.ForeignKey(ChatMessage, on_delete=models.CASCADE, related_name="votes")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    score = models.SmallIntegerField(help_text="1 or -1.")
    voted_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["message", "user"], name="vote_once"),
            models.CheckConstraint(condition=Q(score__in=(-1, 1)), name="vote_is_a_thumb"),
        ]

    def __str__(self) -> str:
        return f"{self.score:+d} {self.message_id}"


class DraftChoice(models.Model):
    """Somebody preferred one answer to others to the same message: what a reward model learns from."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    chosen = models.ForeignKey(ChatMessage, on_delete=models.CASCADE, related_name="choices_for")
    rejected = models.ManyToManyField(ChatMessage, related_name="choices_against")
    chosen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["chosen", "user"], name="draft_chosen_once")]

    def __str__(self) -> str:
        return str(self.chosen_id)


class ChatReport(models.Model):
    """Somebody says that an answer is bad; moderators look at the open ones."""

    class Kind(models.TextChoices):
        SPAM = "spam", "Spam"
        OFFENSIVE = "offensive", "Offensive"
        FEEDBACK = "feedback", "Feedback"

    message = models.ForeignKey(ChatMessage, on_delete=models.CASCADE, related_name="reports")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    reason = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    resolved_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=1000, blank=True, help_text="What came of it, in a moderator's words.")
    resolved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        indexes = [models.Index(fields=["created_at"], condition=Q(resolved_at=None), name="chat_report_open")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason[:40]}"

    @classmethod
    def open_ones(cls) -> dict[str, Any]:
        """Their `number`, and since when the `oldest` waits."""
        waiting = cls.objects.filter(resolved_at=None)
        return waiting.aggregate(number=models.Count("pk"), oldest=models.Min("created_at"))
