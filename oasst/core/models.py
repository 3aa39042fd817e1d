"""Tables of the core: stored answers of repeatable writes, waiting jobs, records of job runs, and the audit log."""

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models.functions import Now, Upper
from django.utils import timezone

from oasst.core.ids import uuid7


class RepeatableWrite(models.Model):
    """The stored answer to a write that its sender may repeat. A table, because it must survive a Redis flush."""

    scope = models.CharField(max_length=100)
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)
    answer = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="repeatable_write_once")]


class WaitingJob(models.Model):
    """A job that a commit asked for and that has not succeeded yet. Its id is the id of the Celery task."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    job = models.CharField(max_length=200)
    args = models.JSONField(default=list)
    created_at = models.DateTimeField("asked for", default=timezone.now, editable=False)
    due_at = models.DateTimeField("next try", db_index=True, help_text="When the clock sends it again.")
    attempts = models.PositiveIntegerField("failed runs", default=0)
    sent_at = models.DateTimeField(
        "last sent",
        null=True,
        default=timezone.now,
        help_text="When it was last sent to the queue; empty after a run that failed.",
    )
    once = models.BooleanField(
        default=False,
        db_default=False,
        help_text="An operator asked for one run of a job of the clock. It is not repeated if it fails.",
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job"], condition=models.Q(once=True), name="waiting_job_once")]

    def __str__(self) -> str:
        return f"{self.job} {self.args}"


class JobRecord(models.Model):
    """Statistics of the runs of one job."""

    job = models.CharField(max_length=200, primary_key=True)
    ended_at = models.DateTimeField()
    seconds = models.FloatField(help_text="How long the last run took.")
    result = models.CharField(max_length=200)
    runs = models.BigIntegerField(default=0)
    failures = models.BigIntegerField(default=0)
    last_error = models.CharField(max_length=1000, blank=True)
    failed_at = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True, help_text="The first failed run after the last that went well.")
    failures_in_row = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Failed runs since the last that went well."
    )

    def __str__(self) -> str:
        return self.job


class AuditEntry(models.Model):
    """One act in the audit log. Without actor and program it was the operator, on the command line.

    Triggers of the database (migration 0003) let nobody change or delete a row of these three tables. An entry holds no
    words of anybody: these lie beside it in a row that can be erased, and the entry keeps their digest. A job later
    puts the entries in a chain of hashes, so a row that is missing or was changed behind the triggers shows.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now(), editable=False)
    act = models.CharField(max_length=64, help_text="A name of oasst.core.audit.acts, such as message.delete.")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    program = models.ForeignKey("accounts.ApiClient", on_delete=models.PROTECT, null=True, related_name="+")
    # What was acted on. No foreign key, because the entry outlives the row.
    target_type = models.CharField(max_length=64, help_text="A model, such as trees.message.")
    target_id = models.CharField(max_length=64)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="Whom the act concerns, such as the author of a deleted message.",
    )
    address_digest = models.CharField(
        max_length=64, blank=True, help_text="A keyed hash of the address that the act came from; empty in jobs."
    )
    text_digest = models.CharField(max_length=64)

    class Meta:
        verbose_name_plural = "audit entries"
        permissions = [("export_auditentry", "Can export the audit log")]
        indexes = [
            models.Index(fields=["act", "id"], name="audit_by_act"),
            models.Index(fields=["target_id", "target_type", "id"], name="audit_by_target"),
            models.Index(fields=["at"], name="audit_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.act} {self.target_type} {self.target_id}"


class AuditText(models.Model):
    """The words of an entry: why, and what changed. Erased with the texts of the person that it concerns."""

    entry = models.OneToOneField(AuditEntry, on_delete=models.PROTECT, primary_key=True, related_name="text")
    salt = models.CharField(max_length=32, help_text="Without it, short words could be guessed from their digest.")
    reason = models.TextField(blank=True)
    # JSON as text, because its digest needs it to the letter.
    before = models.TextField(blank=True)
    after = models.TextField(blank=True)
    erased_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [GinIndex(OpClass(Upper("reason"), name="gin_trgm_ops"), name="audit_reason_pieces")]

    def __str__(self) -> str:
        return self.reason


class AuditLink(models.Model):
    """The place of an entry in the chain. Places count from 1 without a gap."""

    position = models.BigIntegerField(primary_key=True)
    entry = models.OneToOneField(AuditEntry, on_delete=models.PROTECT, related_name="link")
    hash = models.CharField(max_length=64, help_text="SHA-256 of the hash before and of the entry.")

    def __str__(self) -> str:
        return f"{self.position} {self.hash}"
