"""Practice: the texts that administrators chose for it, and what people did for practice."""

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from oasst.core.ids import uuid7
from trees.lifecycle.states import RANKING_WORK, REVIEW_WORK
from trees.models.message import Message, Revision

_WORK = [(work.value, work.value) for work in sorted(REVIEW_WORK | RANKING_WORK)]


class PracticeText(models.Model):
    """A published message that administrators chose for practice, with their explanation of what became of it.

    Not a gold message, which has to stay secret (`GoldMessage`): a message is never both.
    """

    class Exercise(models.TextChoices):
        REVIEW = "review", _("Review it")
        RANKING = "ranking", _("Order the replies to it")

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="practice_texts", db_index=False)
    exercise = models.CharField(max_length=16, choices=Exercise.choices)
    # The explanation is about this text: after an edit it is not shown any more.
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="+", db_index=False)
    lang = models.CharField(max_length=32)
    work = models.CharField(max_length=32, choices=_WORK)
    explanation = models.CharField(max_length=500)
    active = models.BooleanField(default=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["message", "exercise"], name="practice_text_once")]
        indexes = [
            models.Index(fields=["lang", "work"], condition=models.Q(active=True), name="practice_text_by_work"),
        ]

    def __str__(self) -> str:
        return f"practice text {self.message_id}"  # without its text: the admin log keeps this, also after a purge


class Practice(models.Model):
    """One practice review or ranking of one person: training only. Nothing is decided, counted or exported by it, and
    it brings no points (`trees.contributing.practice`).
    """

    # Made when the answer is given, also by somebody who signs in later, so that it is credited once.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="practices", db_index=False
    )
    message = models.ForeignKey(Message, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    example = models.CharField(max_length=64, blank=True, help_text="The name of the example; empty for a message.")
    work = models.CharField(max_length=32, choices=_WORK)
    lang = models.CharField(max_length=32)
    compared = models.PositiveSmallIntegerField(
        help_text="Questions that this person and enough reviewers answered; of a ranking, pairs of replies."
    )
    agreed = models.PositiveSmallIntegerField(help_text="Those of them where this person agreed with most reviewers.")
    at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person", "message", "example"], name="practice_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=models.Q(message=None) ^ models.Q(example=""), name="practice_of_message_or_example"
            ),
            models.CheckConstraint(condition=models.Q(agreed__lte=models.F("compared")), name="practice_agreed_of_all"),
        ]

    def __str__(self) -> str:
        return f"{self.agreed} of {self.compared}"
