"""Two answers to one question, compared without knowing whose they are, and the board that comes of it."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from inference.models.chat import Chat, ChatMessage
from oasst.core.ids import uuid7


class Battle(models.Model):
    """One comparison. Its chat is blind until the person has decided; then it is a chat as any other."""

    class Outcome(models.TextChoices):
        LEFT = "left", _("the left answer is better")
        RIGHT = "right", _("the right answer is better")
        BOTH = "both", _("both are good")
        NEITHER = "neither", _("neither is good")

    class Why(models.TextChoices):
        CORRECT = "correct", _("more correct")
        COMPLETE = "complete", _("more complete")
        CLEAR = "clear", _("clearer")
        FOLLOWS = "follows", _("does what was asked")
        LENGTH = "length", _("better length")
        TONE = "tone", _("better tone")
        SAFE = "safe", _("more careful")
        CREATIVE = "creative", _("more original")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="battles")
    chat = models.OneToOneField(Chat, on_delete=models.CASCADE, related_name="battle")
    left = models.OneToOneField(ChatMessage, on_delete=models.CASCADE, related_name="+")
    right = models.OneToOneField(ChatMessage, on_delete=models.CASCADE, related_name="+")
    # Whose answers they are. The same on both sides: two drafts, which count on no board.
    left_model = models.CharField(max_length=200)
    left_preset = models.CharField(max_length=40)
    right_model = models.CharField(max_length=200)
    right_preset = models.CharField(max_length=40)
    # One of the answers is noise on purpose: it measures the person, and counts on no board.
    is_check = models.BooleanField(default=False)
    lang = models.CharField(max_length=32)
    begun_at = models.DateTimeField(default=timezone.now, editable=False)
    outcome = models.CharField(max_length=8, choices=Outcome.choices, blank=True)
    why = ArrayField(models.CharField(max_length=16, choices=Why.choices), default=list, blank=True)
    comment = models.CharField(max_length=500, blank=True)
    judged_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(outcome="", judged_at=None) | (~Q(outcome="") & Q(judged_at__isnull=False)),
                name="battle_judged_with_outcome",
            ),
            models.CheckConstraint(condition=~Q(left=F("right")), name="battle_of_two_answers"),
        ]
        indexes = [
            models.Index(fields=["user", "-begun_at"], name="battle_of_person"),
            models.Index(fields=["judged_at"], condition=Q(judged_at__isnull=False), name="battle_judged"),
        ]

    def __str__(self) -> str:
        return f"battle {self.pk}"  # without its models: a page may show this before the vote

    @property
    def is_of_drafts(self) -> bool:
        return (self.left_model, self.left_preset) == (self.right_model, self.right_preset)


class BattleBoard(models.Model):
    """The strengths of models, as battles in one language show them."""

    lang = models.CharField(max_length=32, unique=True, blank=True, help_text="Empty: all languages.")
    rated_at = models.DateTimeField(default=timezone.now)
    battles = models.PositiveIntegerField()
    people = models.PositiveIntegerField()
    standing = models.JSONField(default=list, help_text="See inference.battles.rating.")
    styles = models.JSONField(default=dict, help_text="What an answer gains by its form, in points.")

    def __str__(self) -> str:
        return f"board of {self.lang or 'all languages'}"
