"""The outbox: each event is stored once, in the transaction of the change that it reports."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from trees.hot import InsertOnlyManager
from trees.models.message import Message
from trees.models.tree import MessageTree


class Happening(models.Model):
    """An outbox event. Scores, mails, webhooks and live pages read these rows in the order of their ids."""

    class Kind(models.TextChoices):
        MESSAGE_POSTED = "message_posted"
        MESSAGE_REVIEWED = "message_reviewed"
        MESSAGE_CHECKED = "message_checked"  # a review that decides nothing: Review.CHECKS
        MESSAGE_ACCEPTED = "message_accepted"
        MESSAGE_REJECTED = "message_rejected"
        REPLIES_RANKED = "replies_ranked"
        MESSAGE_REOPENED = "message_reopened"  # its decision was undone; people are asked again
        REVIEW_CHANGED = "review_changed"  # by its author, before the decision
        # Taken back right after they were sent: as if they had never been.
        REVIEW_UNDONE = "review_undone"
        CHECK_UNDONE = "check_undone"
        RANKING_UNDONE = "ranking_undone"
        MESSAGE_DELETED = "message_deleted"
        MESSAGE_RESTORED = "message_restored"
        MESSAGE_EDITED = "message_edited"
        MESSAGE_REACTED = "message_reacted"
        MESSAGE_REPORTED = "message_reported"
        REPORT_SETTLED = "report_settled"
        REMOVAL_PROPOSED = "removal_proposed"  # many people complained; a moderator decides
        REMOVAL_UPHELD = "removal_upheld"
        REMOVAL_DISMISSED = "removal_dismissed"
        MESSAGE_HIDDEN = "message_hidden"  # by a moderator, for good
        MESSAGE_WITHDRAWN = "message_withdrawn"  # by its author after replies of others: it is hidden
        WITHDRAWAL_ENDED = "withdrawal_ended"  # a moderator refused it, or its author undid it
        ACT_UNDONE = "act_undone"  # a moderator undid what they had done; data: the events that had told of it
        # An act of the audit log concerns what people wrote; data: its entry, and whom to tell (moderation.telling).
        MODERATED = "moderated"
        WORK_SKIPPED = "work_skipped"
        TREE_MOVED = "tree_moved"
        LANGUAGE_CHANGED = "language_changed"  # a moderator moved a conversation to another language
        TREE_IMPORTED = "tree_imported"
        PERSON_PURGED = "person_purged"
        PURGE_UNDONE = "purge_undone"
        PEOPLE_MERGED = "people_merged"
        SNAPSHOT_PUBLISHED = "snapshot_published"  # offered for the first time

    # What counts as a day's work and for scores.
    WORK = (Kind.MESSAGE_POSTED, Kind.MESSAGE_REVIEWED, Kind.MESSAGE_CHECKED, Kind.REPLIES_RANKED)
    # What notices may tell somebody. All others are inserted with `noticed=True`, so that no reader is woken for them.
    NOTICEABLE = frozenset(
        {
            *(Kind.MESSAGE_ACCEPTED, Kind.MESSAGE_REJECTED, Kind.MESSAGE_DELETED, Kind.WITHDRAWAL_ENDED),
            *(Kind.REPORT_SETTLED, Kind.TREE_MOVED, Kind.SNAPSHOT_PUBLISHED, Kind.ACT_UNDONE),
            *(Kind.MODERATED, Kind.REMOVAL_PROPOSED),
        }
    )

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now(), editable=False)
    kind = models.CharField(max_length=32, choices=Kind.choices)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    # The user whom it concerns, for example the author of the judged message.
    subject = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    tree = models.ForeignKey(MessageTree, on_delete=models.CASCADE, null=True, related_name="+")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, null=True, related_name="+")
    data = models.JSONField(default=dict)
    # One marker per reader: the scores, the webhooks, the notices. Ids become visible out of order, so a reader that
    # stored a position would miss the rows of a transaction that commits late.
    tallied = models.BooleanField(db_default=False, editable=False)
    # While there are no webhooks, rows are inserted with True, so that the reader finds nothing to do.
    told = models.BooleanField(db_default=models.Func(function="trees_nobody_listens"), editable=False)
    noticed = models.BooleanField(db_default=False, editable=False)

    objects = InsertOnlyManager()

    class Meta:
        indexes = [
            models.Index(fields=["id"], condition=models.Q(tallied=False), name="happening_untallied"),
            # A user's latest actions count for them at once, before the scores have read them.
            models.Index(fields=["actor"], condition=models.Q(tallied=False), name="happening_untallied_actor"),
            models.Index(fields=["id"], condition=models.Q(told=False), name="happening_untold"),
            models.Index(fields=["id"], condition=models.Q(noticed=False), name="happening_unnoticed"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
