"""Tables of the core: stored answers of repeatable writes, waiting jobs, and records of job runs."""

from django.db import models
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
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    due_at = models.DateTimeField(db_index=True, help_text="When the clock sends it again.")
    attempts = models.PositiveIntegerField(default=0, help_text="Runs that failed.")

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

    def __str__(self) -> str:
        return self.job
