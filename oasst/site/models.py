"""Notices: what people are told about their texts, reports and points, and how they want to hear of it."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from oasst.core.ids import uuid7
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
        MODERATED = "moderated"  # data: effect, entry, has_reason
        WARNED = "warned"  # data: withdrawn
        APPEAL_ANSWERED = "appeal_answered"  # data: status, entry
        MERGED = "merged"  # data: names

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notices", db_index=False
    )
    kind = models.CharField(max_length=24, choices=Kind.choices)
    happening = models.ForeignKey(Happening, on_delete=models.CASCADE, null=True, related_name="+")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, null=True, related_name="+")
    level = models.PositiveSmallIntegerField(null=True)
    warning = models.ForeignKey(
        "accounts.AccountWarning", on_delete=models.CASCADE, null=True, related_name="+", db_index=False
    )
    appeal = models.ForeignKey("accounts.Appeal", on_delete=models.CASCADE, null=True, related_name="+", db_index=False)
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
            models.UniqueConstraint(
                fields=["warning"], condition=models.Q(warning__isnull=False), name="notice_warning_once"
            ),
            models.UniqueConstraint(
                fields=["appeal"], condition=models.Q(appeal__isnull=False), name="notice_appeal_once"
            ),
            models.CheckConstraint(
                condition=models.Q(happening=None, level__isnull=False, warning=None, appeal=None)
                | models.Q(happening__isnull=False, level=None, warning=None, appeal=None)
                | models.Q(happening=None, level=None, warning__isnull=False, appeal=None)
                | models.Q(happening=None, level=None, warning=None, appeal__isnull=False),
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


class DeskClaim(models.Model):
    """A moderator looks at an item of the desk, so nobody else is given it (`oasst.site.desk.claims`)."""

    subject_kind = models.CharField(max_length=16)
    subject_id = models.CharField(max_length=64)
    moderator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    until = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["subject_kind", "subject_id"], name="desk_claim_once")]

    def __str__(self) -> str:
        return f"{self.subject_kind} {self.subject_id} until {self.until}"


class DeskDecision(models.Model):
    """What a moderator decided about an item of the desk; its acts are in the audit log."""

    id = models.BigAutoField(primary_key=True)
    moderator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    session = models.CharField(max_length=64, help_text="A hash of the session: undo is offered only there.")
    subject_kind = models.CharField(max_length=16)
    subject_id = models.CharField(max_length=64)
    act = models.CharField(max_length=32)
    reason = models.CharField(max_length=500)
    entries = ArrayField(models.BigIntegerField(), default=list, help_text="Of the audit log, in their order.")
    at = models.DateTimeField(default=timezone.now, editable=False)
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["moderator", "-id"], name="desk_decision_of_moderator"),
            models.Index(fields=["subject_id", "subject_kind", "at"], name="desk_decision_about"),
        ]

    def __str__(self) -> str:
        return f"{self.act} {self.subject_kind} {self.subject_id}"


class Escalation(models.Model):
    """A moderator passed an item on to the administrators, with a note."""

    subject_kind = models.CharField(max_length=16)
    subject_id = models.CharField(max_length=64)
    passed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    note = models.CharField(max_length=500)
    at = models.DateTimeField(default=timezone.now, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject_kind", "subject_id"], condition=models.Q(closed_at=None), name="escalation_open_once"
            )
        ]

    def __str__(self) -> str:
        return self.note


class BulkAct(models.Model):
    """One act on many messages or people: chosen and shown first, then done by a job (`oasst.site.bulk`)."""

    class Act(models.TextChoices):
        DELETE = "delete", _("Remove, with everything below")
        HIDE = "hide", _("Hide, until a moderator shows it again")
        KEEP = "keep", _("Keep, and answer all that waits about it")
        RESTORE = "restore", _("Bring back")
        MOVE = "move", _("Move the conversation to another language")
        WARN = "warn", _("Warn")
        SUSPEND = "suspend", _("Suspend")

    class Stage(models.TextChoices):
        DRAFT = "draft", _("Not started")
        RUNNING = "running", _("Under way")
        STOPPED = "stopped", _("Stopped")
        DONE = "done", _("Done")
        UNDOING = "undoing", _("Being undone")
        UNDONE = "undone", _("Undone")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    moderator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    act = models.CharField(max_length=16, choices=Act.choices)
    value = models.CharField(max_length=32, blank=True, help_text="What the act needs: a language, or days.")
    chosen_by = models.CharField(max_length=500, help_text="What was chosen, in words.")
    preview = models.JSONField(default=dict, help_text="What was said of it before it began.")
    reason = models.CharField(max_length=500, blank=True)
    stopped_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    stop_reason = models.CharField(max_length=500, blank=True, db_default="")
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    undo_reason = models.CharField(max_length=500, blank=True)
    stage = models.CharField(max_length=16, choices=Stage.choices, default=Stage.DRAFT)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True, help_text="When the last row was done, or undone.")

    class Meta:
        indexes = [
            models.Index(fields=["moderator", "-id"], name="bulk_act_of_moderator"),
            models.Index(fields=["created_at"], condition=models.Q(stage="draft"), name="bulk_act_draft"),
        ]

    def __str__(self) -> str:
        return f"{self.get_act_display()}: {self.chosen_by}"

    @property
    def is_under_way(self) -> bool:
        return self.stage in (self.Stage.RUNNING, self.Stage.UNDOING)

    @property
    def was_stopped_by_another(self) -> bool:
        return self.stopped_by_id not in (None, self.moderator_id)


class BulkRow(models.Model):
    """One message or person of a bulk act, fixed when it was shown."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        DONE = "done", _("Done")
        REFUSED = "refused", _("Refused")
        UNDONE = "undone", _("Undone")
        STAYS = "stays", _("Could not be undone")

    id = models.BigAutoField(primary_key=True)
    bulk = models.ForeignKey(BulkAct, on_delete=models.CASCADE, related_name="rows", db_index=False)
    # No foreign key: it is a message or a person.
    subject_id = models.UUIDField()
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.WAITING)
    entries = ArrayField(models.BigIntegerField(), default=list, help_text="Of the audit log, in their order.")
    refusal = models.CharField(max_length=500, blank=True, help_text="Why it was refused, or could not be undone.")
    tries = models.PositiveSmallIntegerField(default=0, help_text="How often it failed.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["bulk", "subject_id"], name="bulk_row_once")]
        indexes = [models.Index(fields=["bulk", "status", "id"], name="bulk_row_by_status")]

    def __str__(self) -> str:
        return f"{self.subject_id} {self.status}"


class QueueDay(models.Model):
    """How one queue of the moderators fared in one language on one day (`oasst.site.overview.history`)."""

    id = models.BigAutoField(primary_key=True)
    day = models.DateField()
    queue = models.CharField(max_length=16)
    lang = models.CharField(max_length=32, blank=True, help_text="Empty for what is in no language.")
    came = models.PositiveIntegerField()
    settled = models.PositiveIntegerField()
    waiting = models.PositiveIntegerField(help_text="At the end of the day, or when it was counted last.")
    counted_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["day", "queue", "lang"], name="queue_day_once")]

    def __str__(self) -> str:
        return f"{self.queue} {self.lang} {self.day}"
