"""Deletions, purges, proposals of removal, and withdrawals."""

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from oasst.core.ids import uuid7
from trees.models.message import Message, Revision
from trees.models.tree import STATE_CHOICES, MessageTree


class Deletion(models.Model):
    """One deletion: a message with everything below it that was not deleted before.

    Undoing it restores exactly `message_ids`, not what an earlier deletion took.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tree = models.ForeignKey(MessageTree, on_delete=models.CASCADE, related_name="deletions")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="deletions")
    message_ids = ArrayField(models.UUIDField())
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    undone_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    undo_reason = models.CharField(max_length=500, blank=True)
    purge = models.ForeignKey("trees.Purge", on_delete=models.PROTECT, null=True, blank=True, related_name="deletions")

    def __str__(self) -> str:
        return f"deletion of {len(self.message_ids)} messages"


class Proposal(models.Model):
    """Many people complained about a message: a moderator decides about its removal.

    While open it may hide the message and halt its tree. No decision loses anything: if upheld it becomes a Deletion,
    if dismissed everything is as before. A moderator may also leave the message hidden, with or without complaints.
    """

    class Kind(models.TextChoices):
        FLAGS = "flags", "Red flags"
        SKIPS = "skips", "Nobody wants to answer"
        MODERATOR = "moderator", "A moderator saw it"

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        HIDDEN = "hidden", "Stays hidden"
        UPHELD = "upheld", "Upheld"
        DISMISSED = "dismissed", "Dismissed"

    IN_FORCE = (Status.OPEN, Status.HIDDEN)
    """While it is so, it may hide its message and halt its tree."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tree = models.ForeignKey(MessageTree, on_delete=models.CASCADE, related_name="proposals")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="proposals")
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    voices = models.PositiveIntegerField(help_text="How many counted when it was made, or when it began to act.")
    hides = models.BooleanField(default=False, help_text="Only moderators see the message while this is in force.")
    stops = models.BooleanField(default=False, help_text="It stopped the conversation, which waits for the answer.")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.OPEN)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    decided_at = models.DateTimeField(null=True, blank=True)
    # Empty if an API client decided; the reason names it.
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.CharField(max_length=500, blank=True)
    mailed = models.CharField(
        max_length=16, choices=Status.choices, blank=True, editable=False, help_text="What its author was last told."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["message"], condition=models.Q(status="open"), name="proposal_open_once"),
            models.UniqueConstraint(
                fields=["message"], condition=models.Q(status="hidden"), name="proposal_hidden_once"
            ),
            models.CheckConstraint(
                condition=models.Q(status="open", decided_at=None)
                | (~models.Q(status="open") & models.Q(decided_at__isnull=False)),
                name="proposal_decided_whole",
            ),
        ]
        indexes = [
            # The moderators' queue, oldest first.
            models.Index(fields=["created_at"], condition=models.Q(status="open"), name="proposal_queue"),
            # Recently overruled users (`trees.moderation.complaint_weights`), queried for each complaint.
            models.Index(
                fields=["decided_at"], condition=models.Q(decided_at__isnull=False), name="proposal_decided_lately"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def acts(self) -> bool:
        """Return True if it hides or halts anything."""
        return self.hides or self.stops

    @property
    def concerns_author(self) -> bool:
        """Return True if the author has to be told.

        That is so if it acts, if it ended after the author was told of it, or if the message is removed.
        """
        ends_after_mail = bool(self.mailed) and self.status != self.Status.OPEN
        return self.acts or ends_after_mail or self.status == self.Status.UPHELD


class Withdrawal(models.Model):
    """An author withdrew their own text.

    Without replies of others it was deleted at once (`deletion`) for good. Otherwise it is hidden while this is open:
    for good in a tree of the data set, else until a moderator decides. Decision 80.
    """

    class Status(models.TextChoices):
        OPEN = "open", "Hidden"
        GRANTED = "granted", "Deleted"
        REFUSED = "refused", "Stays"
        UNDONE = "undone", "Undone by its author"

    IN_FORCE = (Status.OPEN, Status.GRANTED)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tree = models.ForeignKey(MessageTree, on_delete=models.CASCADE, related_name="withdrawals")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="withdrawals")
    reason = models.CharField(max_length=500, blank=True, help_text="What the author says to the moderators.")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.OPEN)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    decided_at = models.DateTimeField(null=True, blank=True)
    # Empty if an API client decided; the answer names it.
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    answer = models.CharField(max_length=500, blank=True)
    deletion = models.ForeignKey(
        Deletion,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="withdrawals",
        help_text="What it took at once.",
    )
    mailed = models.CharField(
        max_length=16, choices=Status.choices, blank=True, editable=False, help_text="What its author was last told."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["message"], condition=models.Q(status="open"), name="withdrawal_open_once"),
            models.CheckConstraint(
                condition=models.Q(status="open", decided_at=None)
                | (~models.Q(status="open") & models.Q(decided_at__isnull=False)),
                name="withdrawal_decided_whole",
            ),
        ]
        indexes = [
            # The moderators' queue, oldest first.
            models.Index(fields=["created_at"], condition=models.Q(status="open"), name="withdrawal_queue"),
        ]

    def __str__(self) -> str:
        return f"withdrawal, {self.created_at:%Y-%m-%d %H:%M}"


class Purge(models.Model):
    """All contributions of one user, removed from sight and from the counts, tree by tree.

    It can be undone for a while; then the texts are erased.
    """

    UNDO_FOR = timedelta(days=30)

    class Stage(models.TextChoices):
        RUNNING = "running", "Under way"
        DONE = "done", "Done"
        UNDOING = "undoing", "Being undone"
        UNDONE = "undone", "Undone"
        ERASED = "erased", "Erased"

    ACTIVE_STAGES = (Stage.RUNNING, Stage.DONE, Stage.UNDOING)
    """Stages in which the contributions are removed, or being removed or restored."""
    UNFINISHED = models.Q(stage__in=ACTIVE_STAGES) | models.Q(stage=Stage.ERASED, erased_at=None)
    """Also while the texts are being erased: until then these messages must not change."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="purges")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=500)
    stage = models.CharField(max_length=16, choices=Stage.choices, default=Stage.RUNNING)
    banned = models.BooleanField(default=False, help_text="The purge shut the person out, so undoing it lets them in.")
    counts = models.JSONField(default=dict, blank=True, help_text="What it took, when it was done.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)
    undo_actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    undo_reason = models.CharField(max_length=500, blank=True)
    undone_at = models.DateTimeField(null=True, blank=True)
    erased_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person"], condition=models.Q(stage__in=["running", "done", "undoing"]), name="purge_once"
            ),
        ]
        indexes = [
            # A job looks for unfinished purges.
            models.Index(
                fields=["stage"], condition=models.Q(stage__in=["running", "done", "undoing"]), name="purge_not_over"
            ),
        ]

    def __str__(self) -> str:
        return f"purge of {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def undo_until(self) -> datetime:
        return (self.finished_at or self.created_at) + self.UNDO_FOR

    @property
    def is_under_way(self) -> bool:
        """Return True if anything is left to do."""
        return self.stage in (self.Stage.RUNNING, self.Stage.UNDOING) or (
            self.stage == self.Stage.ERASED and self.erased_at is None
        )

    def can_be_undone(self, now: datetime) -> bool:
        return self.stage in self.ACTIVE_STAGES and now < self.undo_until


class PurgeStep(models.Model):
    """What a purge did to one tree: the facts that undoing it cannot compute."""

    purge = models.ForeignKey(Purge, on_delete=models.CASCADE, related_name="steps")
    tree = models.ForeignKey(MessageTree, on_delete=models.CASCADE, related_name="+")
    state_before = models.CharField(max_length=32, choices=STATE_CHOICES)
    state_after = models.CharField(max_length=32, choices=STATE_CHOICES)
    # {message id: {field: [before, after]}} of changed decisions and ranks.
    changed = models.JSONField(default=dict)
    counts = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now, editable=False)
    undone_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.purge_id} in {self.tree_id}"
