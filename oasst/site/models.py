"""Notices: what people are told about their texts, reports and points, and how they want to hear of it."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from trees.models import Happening, Message


class Notice(models.Model):
    """One thing that one person is told: something that happened, or a level that they reached.

    Only facts are stored; `oasst.site.notices.wording` makes sentences of them when they are shown, and
    `oasst.site.notices.queries` leaves out what no longer holds.
    """

    class Kind(models.TextChoices):
        ACCEPTED = "accepted"
        REJECTED = "rejected"  # data: labels
        ANSWERED = "answered"  # the message is the reply
        CORRECTED = "corrected"  # the message is the suggested text
        RANKED_FIRST = "ranked_first"
        EXPORTED = "exported"  # data: snapshot, texts
        REPORT_SETTLED = "report_settled"  # data: status
        WITHDRAWAL_DECIDED = "withdrawal_decided"  # data: status
        LEVEL_REACHED = "level_reached"

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notices", db_index=False
    )
    kind = models.CharField(max_length=24, choices=Kind.choices)
    happening = models.ForeignKey(Happening, on_delete=models.CASCADE, null=True, related_name="+")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, null=True, related_name="+")
    level = models.PositiveSmallIntegerField(null=True)
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    read_at = models.DateTimeField(null=True, editable=False)
    # When a digest claimed it, before its mail was sent: so it is in one mail at most.
    mailed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            # Whoever writes them may be killed or run twice: these make each of them once.
            models.UniqueConstraint(fields=["person", "happening"], name="notice_once"),
            models.UniqueConstraint(fields=["person", "level"], name="notice_level_once"),
            models.CheckConstraint(
                condition=models.Q(happening=None, level__isnull=False) | models.Q(happening__isnull=False, level=None),
                name="notice_of_one_thing",
            ),
        ]
        indexes = [
            # A person's page, newest first.
            models.Index(fields=["person", "-id"], name="notice_by_person"),
            # The number beside the bell.
            models.Index(fields=["person"], condition=models.Q(read_at=None), name="notice_unread"),
            # What a digest may tell.
            models.Index(fields=["person"], condition=models.Q(read_at=None, mailed_at=None), name="notice_unmailed"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class NoticeAccount(models.Model):
    """How one person wants to hear of notices, and up to which level they were told. Without a row: the defaults."""

    class Digest(models.TextChoices):
        NONE = "none"
        DAILY = "daily"
        WEEKLY = "weekly"

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    muted = ArrayField(models.CharField(max_length=24, choices=Notice.Kind.choices), default=list, size=20)
    digest = models.CharField(max_length=8, choices=Digest.choices, default=Digest.WEEKLY)
    digest_at = models.DateTimeField(null=True, editable=False)
    digest_due_at = models.DateTimeField(
        null=True, editable=False, help_text="When the next mail is due; empty if there is nothing to tell."
    )
    level = models.PositiveSmallIntegerField(default=1, help_text="The highest level that they were told of.")

    class Meta:
        indexes = [
            # The mails that are due, whoever else there is.
            models.Index(
                fields=["digest_due_at", "person"],
                condition=models.Q(digest_due_at__isnull=False),
                name="notice_digest_due",
            )
        ]

    def __str__(self) -> str:
        return f"notices of {self.person_id}"
