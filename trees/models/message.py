"""Messages and their texts."""

from typing import Any

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.utils import timezone

from oasst.core.ids import uuid7
from trees.hot import MessageManager, RevisionManager
from trees.models.tree import MessageTree


class Role(models.TextChoices):
    PROMPTER = "prompter", "User"
    ASSISTANT = "assistant", "Assistant"


class Message(models.Model):
    """One message of a conversation. `text` is the text of the present revision.

    In all tables a foreign key has no index of its own (`db_index=False`) if an index of `Meta` begins with it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tree = models.ForeignKey(MessageTree, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey(
        "self", on_delete=models.CASCADE, null=True, blank=True, related_name="children", db_index=False
    )
    role = models.CharField(max_length=16, choices=Role.choices)
    depth = models.PositiveIntegerField()
    position = models.PositiveIntegerField(help_text="Among its siblings, from 0, in the order of arrival.")
    text = models.TextField()
    text_digest = models.BinaryField(max_length=32, help_text="SHA-256 of the text: finds repeated texts.")
    lang = models.CharField(max_length=32)
    revision = models.ForeignKey("trees.Revision", on_delete=models.RESTRICT, related_name="+")

    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="messages",
        db_index=False,
    )
    api_client = models.ForeignKey(
        "accounts.ApiClient", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    frontend_message_id = models.CharField(max_length=200)
    consent = models.CharField(max_length=32, blank=True, help_text="The version of the terms it was given under.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    correction_of = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="corrections",
        help_text="The sibling whose text this one suggests to better.",
    )

    looks_like = models.CharField(
        max_length=32,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="The language that the text seems to be in, where that is another one than it is filed under.",
    )

    deleted = models.BooleanField(default=False)
    # A copy of "a proposal in force or an open withdrawal hides it", so that reads need no join; check_invariants
    # compares them.
    hidden = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="People complained, its author withdrew it, or a moderator hid it; only moderators may read it.",
    )
    # A copy of "a withdrawal of it is open or granted", for the same reason.
    withdrawn = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Its author withdrew it. While others have replied it is hidden, else it is deleted.",
    )
    # A copy of "a moderator hid it", for the same reason.
    kept_hidden = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="A moderator hid it: it is no part of the conversation, and neither is what is below it.",
    )
    kept_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="A moderator decided that this text stays: complaints act by themselves no more.",
    )
    edited = models.BooleanField(default=False)
    synthetic = models.BooleanField(default=False)
    model_name = models.CharField(max_length=1024, blank=True)

    # Counts of rows in other tables (plus `imported`); check_invariants compares them.
    review_count = models.PositiveIntegerField(default=0)
    review_result = models.BooleanField(null=True, blank=True, help_text="Empty while reviewers have not decided.")
    ranking_count = models.PositiveIntegerField(default=0)
    rank = models.PositiveIntegerField(null=True, blank=True, help_text="0 is the best among its siblings.")
    emojis = models.JSONField(default=dict, blank=True)

    # Other facts of a file about the message: counts without people, dates, labels, unknown keys. Null for our own.
    imported = models.JSONField(null=True, blank=True)

    # A generated column; its function picks the dictionary of the language (migration 0030).
    search = models.GeneratedField(
        expression=models.Func("lang", "text", function="trees_message_search"),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    objects = MessageManager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(parent=None, depth=0, id=models.F("tree_id"), role="prompter")
                | models.Q(parent__isnull=False, depth__gt=0),
                name="message_root_is_tree",
            ),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="message_role_known"),
            models.UniqueConstraint(fields=["parent", "position"], name="message_position_once"),
            # API clients find their messages by their own ids.
            models.UniqueConstraint(fields=["api_client", "frontend_message_id"], name="message_frontend_id_once"),
        ]
        indexes = [
            # A user's contributions, newest first, and recent texts for the rule on repeated texts.
            models.Index(fields=["author", "-created_at"], name="message_by_author"),
            models.Index(fields=["lang", "-created_at"], name="message_newest"),
            models.Index(
                fields=["correction_of"], condition=models.Q(correction_of__isnull=False), name="message_corrections"
            ),
            # The API lists messages by date: those of one API client, and all.
            models.Index(fields=["api_client", "created_at", "id"], name="message_by_client"),
            models.Index(fields=["created_at", "id"], name="message_by_date"),
            # Moderators list messages that may be in the wrong language, newest first.
            models.Index(fields=["-id"], condition=~models.Q(looks_like=""), name="message_looks_other"),
            # Moderators list what readers do not see, and what was edited, newest first: a small part of all messages.
            models.Index(
                fields=["created_at", "id"],
                condition=models.Q(deleted=True) | models.Q(hidden=True) | models.Q(withdrawn=True),
                name="message_out_of_sight",
            ),
            models.Index(fields=["created_at", "id"], condition=models.Q(edited=True), name="message_edited"),
            GinIndex(fields=["search"], name="message_search"),
            GinIndex(OpClass("text", name="gin_trgm_ops"), name="message_trigrams"),
        ]

    def __str__(self) -> str:
        return self.text[:80]

    @property
    def is_withheld(self) -> bool:
        """Return True if only moderators may read its text: it is deleted or hidden."""
        return self.deleted or self.hidden

    @property
    def is_out(self) -> bool:
        """Return True if a moderator took it out of the conversation, with everything below it."""
        return self.deleted or self.kept_hidden

    @property
    def given(self) -> dict[str, Any]:
        """The facts of the file that it was imported from; empty for our own messages."""
        return (self.imported or {}).get("given") or {}

    def imported_count(self, key: str) -> int:
        """Return a count that the file gave without naming people; 0 for our own messages."""
        return int(self.given.get(key) or 0)


class Revision(models.Model):
    """One text of a message, including the first. Judgments name the revision that they are about."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="revisions")
    text = models.TextField()
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    reason = models.CharField(max_length=500, blank=True)
    # The database sets it, so no writer of texts can forget it and none pays a statement for it
    # (trees.enrichment.queue).
    unread = models.BooleanField(db_default=True, editable=False, help_text="The machines have not been told of it.")

    objects = RevisionManager()

    class Meta:
        indexes = [models.Index(fields=["id"], condition=models.Q(unread=True), name="revision_unread")]

    def __str__(self) -> str:
        return self.text[:80]
