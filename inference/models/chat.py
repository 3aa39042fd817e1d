"""Chats and their messages."""

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper
from django.utils import timezone

from inference.hot import ChatMessageManager
from oasst.core.ids import uuid7


class Role(models.TextChoices):
    PROMPTER = "prompter", "Person"
    ASSISTANT = "assistant", "Assistant"


class Chat(models.Model):
    """A conversation of one user with the assistant. The messages are a tree."""

    class TitledBy(models.TextChoices):
        FIRST_LINE = "first_line", "First line"
        MODEL = "model", "Model"
        PERSON = "person", "Person"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="chats")
    title = models.CharField(max_length=100, blank=True)
    titled_by = models.CharField(max_length=16, choices=TitledBy.choices, default=TitledBy.FIRST_LINE)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    modified_at = models.DateTimeField(default=timezone.now, help_text="Of the newest message.")
    hidden = models.BooleanField(default=False)
    allow_data_use = models.BooleanField(default=True)
    # Deleted by the user, who may restore it until inference.chats.cleanup removes it.
    deleted_at = models.DateTimeField(null=True, blank=True)

    # Two answers are being compared without names (inference.battles). Until then only its page shows it.
    blind = models.BooleanField(default=False, db_default=False, editable=False)

    # Holds one completion of an API client (inference.api.openai). Created as deleted, so that no list shows it.
    ephemeral = models.BooleanField(default=False, editable=False)

    # Instructions that the model reads before the conversation.
    system_prompt = models.TextField(blank=True)
    user_profile = models.TextField(blank=True, help_text="About the person.")
    response_instructions = models.TextField(blank=True, help_text="How the person wants answers to be.")

    # For the next answers. Empty: the first offered model and the default preset.
    model = models.CharField(max_length=200, blank=True)
    sampling = models.JSONField(default=dict, blank=True, help_text="See inference.engine.sampling.")

    # The last message of the branch that the page shows.
    active_tail = models.ForeignKey("ChatMessage", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        indexes = [
            # A user's chats, newest activity first, with the id as tie-breaker of pages.
            models.Index(fields=["user", "-modified_at", "-id"], condition=Q(deleted_at=None), name="chat_list"),
            # For inference.chats.cleanup.
            models.Index(fields=["deleted_at"], condition=~Q(deleted_at=None), name="chat_deleted"),
        ]

    def __str__(self) -> str:
        return self.title or str(self.id)


class ChatMessage(models.Model):
    """One message. An assistant's has a `Turn`, and gets its content when the turn ends."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="replies")
    role = models.CharField(max_length=16, choices=Role.choices)
    content = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ChatMessageManager()

    class Meta:
        constraints = [
            # Editing the first message creates another root, so a chat may have several, all by the user.
            models.CheckConstraint(
                condition=Q(role=Role.PROMPTER) | Q(parent__isnull=False), name="chat_begins_with_the_person"
            ),
        ]
        indexes = [
            # For inference.chats.listing: whole words, and pieces of text by `icontains`. The language of a chat is
            # unknown, so words are not stemmed.
            GinIndex(SearchVector("content", config="simple"), name="chat_message_words"),
            GinIndex(OpClass(Upper("content"), name="gin_trgm_ops"), name="chat_message_pieces"),
        ]

    def __str__(self) -> str:
        return f"{self.role}: {self.content[:40]}"
