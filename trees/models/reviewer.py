"""Estimates about reviewers."""

from django.conf import settings
from django.db import models


class ReviewerRecord(models.Model):
    """How one user reviews, as trees.contributing.reviewers last estimated it. Shown to that user and to moderators."""

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="reviewer_record"
    )
    decided = models.PositiveIntegerField(help_text="Reviews whose text is decided.")
    agreed = models.PositiveIntegerField(help_text="Those of them in line with the outcome.")
    finds = models.FloatField(help_text="The share of bad texts that this person would reject.")
    spares = models.FloatField(help_text="The share of good texts that this person would keep.")
    # Checks: reviews that only say how this person reviews.
    good_kept = models.PositiveIntegerField(default=0, db_default=0, help_text="Good gold messages that they kept.")
    good_rejected = models.PositiveIntegerField(default=0, db_default=0)
    bad_rejected = models.PositiveIntegerField(default=0, db_default=0, help_text="Bad ones that they rejected.")
    bad_kept = models.PositiveIntegerField(default=0, db_default=0)
    repeated = models.PositiveIntegerField(default=0, db_default=0, help_text="Messages that they reviewed twice.")
    repeated_alike = models.PositiveIntegerField(default=0, db_default=0, help_text="With the same verdict.")
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.agreed} of {self.decided}"

    @property
    def gold(self) -> int:
        """The number of gold messages that they reviewed."""
        return self.good_kept + self.good_rejected + self.bad_rejected + self.bad_kept

    @property
    def gold_right(self) -> int:
        return self.good_kept + self.bad_rejected


class ReviewerSkill(models.Model):
    """How one user answers one question in one language. Yes-or-no questions have `finds` and `spares`, scales have
    `leans` and `close`.
    """

    VERDICT = "verdict"
    """The question that all labels together answer: whether the message should be rejected."""

    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="reviewer_skills", db_index=False
    )
    lang = models.CharField(max_length=32)
    label = models.CharField(max_length=32)
    texts = models.PositiveIntegerField(help_text="Texts of which others answered this too, or the answer is known.")
    differed = models.PositiveIntegerField(help_text="Those of them where most others answered otherwise.")
    finds = models.FloatField(null=True, help_text="How often this person says yes where yes is right.")
    spares = models.FloatField(null=True, help_text="How often this person says no where no is right.")
    leans = models.FloatField(null=True, help_text="How far above the others' mean this person answers, on average.")
    close = models.FloatField(null=True, help_text="The share of answers within one step of the others' mean.")
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person", "label", "lang"], name="reviewer_skill_once"),
            models.CheckConstraint(
                condition=models.Q(finds__isnull=False, spares__isnull=False, leans=None, close=None)
                | models.Q(finds=None, spares=None, leans__isnull=False, close__isnull=False),
                name="reviewer_skill_of_one_kind",
            ),
        ]
        indexes = [models.Index(fields=["updated_at"], name="reviewer_skill_age")]  # outdated ones are deleted

    def __str__(self) -> str:
        return f"{self.label} in {self.lang}, {self.texts} texts"
