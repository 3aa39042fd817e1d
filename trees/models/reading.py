"""What machines read of the texts of messages."""

from django.db import models
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Now

from trees.models.message import Revision


class ReadingKind(models.TextChoices):
    """What is read. The database takes any kind, so a new one needs no migration."""

    LANGUAGE = "language"
    TOXICITY = "toxicity"
    PERSONAL_DATA = "personal_data"


class MessageReading(models.Model):
    """One thing that a machine reads of one text: first as work that waits, then with its result.

    A row is about a revision, so a result never outlives its text: the readings of `message.revision` are those of the
    present text. While `due_at` is set the text waits to be read, also for a second time beside an older result.
    Without `due_at` it is read, or given up (`error`, no result).
    """

    id = models.BigAutoField(primary_key=True)
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="readings", db_index=False)
    kind = models.CharField(max_length=32)
    model = models.CharField(max_length=200, blank=True, db_default="", help_text="Which model or rules read it.")
    version = models.CharField(max_length=100, blank=True, db_default="")
    result = models.JSONField(null=True, blank=True)
    flagged = models.BooleanField(db_default=False, help_text="A moderator should see it.")
    settled_at = models.DateTimeField(
        null=True, blank=True, help_text="When a moderator decided that the text may stay; until another result."
    )
    author_keeps = models.BooleanField(
        db_default=False, help_text="Its author was asked about this result and leaves the text as it is."
    )
    read_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True, db_default=Now())
    attempts = models.PositiveSmallIntegerField(db_default=0, help_text="Attempts since it was last asked for.")
    error = models.CharField(max_length=500, blank=True, db_default="")

    GIVEN_UP = models.Q(due_at__isnull=True, result__isnull=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["revision", "kind"], name="reading_once")]
        indexes = [
            models.Index(fields=["kind", "due_at"], condition=models.Q(due_at__isnull=False), name="reading_due"),
            models.Index(
                fields=["kind"], condition=models.Q(due_at__isnull=True, result__isnull=True), name="reading_given_up"
            ),
            # Moderators list messages with a reading that they should see.
            models.Index(fields=["kind", "revision"], condition=models.Q(flagged=True), name="reading_flagged"),
            # … or whose text is at least so toxic.
            models.Index(
                Cast(KeyTextTransform("toxicity", "result"), models.FloatField()),
                "revision",
                condition=models.Q(kind="toxicity"),
                name="reading_toxicity",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.revision_id}"
