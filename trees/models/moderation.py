"""Deletions and purges, which can be undone, what many people propose to take away, and what authors withdraw."""

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from oasst.core.ids import uuid7
from trees.models.message import Message, Revision
from trees.models.tree import STATE_CHOICES, MessageTree


class Deletion(models.Model):
    """One act of deleting: a message with everything below it that was not deleted before.

    Undoing it brings back exactly `message_ids`, not what an earlier deletion had taken.
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
    """Many people complained about a message: a moderator decides whether it goes.

    While it is open it may hide the message and keep its tree stopped. Whatever is decided, nothing is lost by it: what
    is upheld becomes a Deletion, what is dismissed is as it was.
    """

    class Kind(models.TextChoices):
        FLAGS = "flags", "Red flags"
        SKIPS = "skips", "Nobody wants to answer"

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        UPHELD = "upheld", "Upheld"
        DISMISSED = "dismissed", "Dismissed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tree = models.ForeignKey(MessageTree, on_delete=models.CASCADE, related_name="proposals")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="proposals")
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    voices = models.PositiveIntegerField(help_text="How many counted when it was made, or when it began to act.")
    hides = models.BooleanField(default=False, help_text="Only moderators see the message while this is open.")
    stops = models.BooleanField(default=False, help_text="It stopped the conversation, which waits for the answer.")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.OPEN)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    decided_at = models.DateTimeField(null=True, blank=True)
    # Empty where a program decided, which the reason names.
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
            models.CheckConstraint(
                condition=models.Q(status="open", decided_at=None)
                | (~models.Q(status="open") & models.Q(decided_at__isnull=False)),
                name="proposal_decided_whole",
            ),
        ]
        indexes = [
            # The moderators' queue, oldest first.
            models.Index(fields=["created_at"], condition=models.Q(status="open"), name="proposal_queue"),
            # Who was overruled lately (`trees.moderation.complaint_weights`), asked for each person who complains.
            models.Index(
                fields=["decided_at"], condition=models.Q(decided_at__isnull=False), name="proposal_decided_lately"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def acts(self) -> bool:
        """Does it hide or stop anything?"""
        return self.hides or self.stops

    @property
    def concerns_author(self) -> bool:
        """Does the author have to hear how it stands? A row that did nothing needs no mail, unless its message goes in
        the end. Whoever was told that it waits hears the end of it, also where it hid and stopped nothing any more.
        """
        told = bool(self.mailed) and self.status != self.Status.OPEN
        return self.acts or told or self.status == self.Status.UPHELD


class Withdrawal(models.Model):
    """An author withdrew a text of their own.

    Where nobody else had replied, it was deleted at once (`deletion`) and nobody brings it back. Else it is hidden
    while this is open: in a tree of the data set for good, in every other until a moderator decides. Decision 80.
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
    # Empty where a program decided, which the answer names.
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
    """Everything that one person gave, taken out of sight and out of the counts, tree by tree.

    It can be undone for a while; after that the texts are erased.
    """

    UNDO_FOR = timedelta(days=30)

    class Stage(models.TextChoices):
        RUNNING = "running", "Under way"
        DONE = "done", "Done"
        UNDOING = "undoing", "Being undone"
        UNDONE = "undone", "Undone"
        ERASED = "erased", "Erased"

    STANDING = (Stage.RUNNING, Stage.DONE, Stage.UNDOING)
    """While it is in one of these, what the person gave is away or on its way."""
    NOT_OVER = models.Q(stage__in=STANDING) | models.Q(stage=Stage.ERASED, erased_at=None)
    """Or on its way to be erased: whose messages it is about must stay as it is."""

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
            # The clock looks for what is not over yet.
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
        """Is there anything left to do?"""
        return self.stage in (self.Stage.RUNNING, self.Stage.UNDOING) or (
            self.stage == self.Stage.ERASED and self.erased_at is None
        )

    def can_be_undone(self, now: datetime) -> bool:
        return self.stage in self.STANDING and now < self.undo_until


class PurgeStep(models.Model):
    """What a purge did to one tree, as far as undoing it can not find out by itself."""

    purge = models.ForeignKey(Purge, on_delete=models.CASCADE, related_name="steps")
    tree = models.ForeignKey(MessageTree, on_delete=models.CASCADE, related_name="+")
    state_before = models.CharField(max_length=32, choices=STATE_CHOICES)
    state_after = models.CharField(max_length=32, choices=STATE_CHOICES)
    # Message id → field → [before, after], for the decisions and ranks that changed.
    changed = models.JSONField(default=dict)
    counts = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now, editable=False)
    undone_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.purge_id} in {self.tree_id}"
