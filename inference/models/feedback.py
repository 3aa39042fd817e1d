"""Feedback on answers."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from inference.models.chat import ChatMessage


class Vote(models.Model):
    """A user's current vote on an answer. Taking it back deletes the row."""

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
    """A user prefers one answer to others to the same message: training data of a reward model."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    chosen = models.ForeignKey(ChatMessage, on_delete=models.CASCADE, related_name="choices_for")
    rejected = models.ManyToManyField(ChatMessage, related_name="choices_against")
    chosen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["chosen", "user"], name="draft_chosen_once")]

    def __str__(self) -> str:
        return str(self.chosen_id)


class ChatReport(models.Model):
    """A user reports an answer to the moderators."""

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
