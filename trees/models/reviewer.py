"""Estimates about reviewers."""

from django.conf import settings
from django.db import models


class ReviewerRecord(models.Model):
    """How one user reviews, as trees.contributing.reviewers last estimated it. Shown only to that user."""

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="reviewer_record"
    )
    decided = models.PositiveIntegerField(help_text="Reviews whose text is decided.")
    agreed = models.PositiveIntegerField(help_text="Those of them in line with the outcome.")
    finds = models.FloatField(help_text="The share of bad texts that this person would reject.")
    spares = models.FloatField(help_text="The share of good texts that this person would keep.")
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.agreed} of {self.decided}"
