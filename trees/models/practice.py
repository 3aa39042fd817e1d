"""Reviews that people gave for practice."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from oasst.core.ids import uuid7
from trees.lifecycle.states import REVIEW_WORK
from trees.models.message import Message


class Practice(models.Model):
    """One practice review of one person: training only. Nothing is decided, counted or exported by it, and it brings no
    points (`trees.contributing.practice`).
    """

    # Made when the answer is given, also by somebody who signs in later, so that it is credited once.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="practices", db_index=False
    )
    message = models.ForeignKey(Message, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    example = models.CharField(max_length=64, blank=True, help_text="The name of the example; empty for a message.")
    work = models.CharField(max_length=32, choices=[(work.value, work.value) for work in sorted(REVIEW_WORK)])
    lang = models.CharField(max_length=32)
    compared = models.PositiveSmallIntegerField(help_text="Questions that this person and enough reviewers answered.")
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
