"""Chats and what is said in them."""

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
    """A conversation of one person with the assistant. It may branch: messages are a tree."""

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
    # Deleted by its person, who may still take it back; a clean-up removes it for good later.
    deleted_at = models.DateTimeField(null=True, blank=True)

    # Carries one completion of a program (inference.api.openai): born deleted, so that nobody's list shows it, and
    # removed by the clean-up.
    ephemeral = models.BooleanField(default=False, editable=False)

    # What the assistant is told before each conversation of this chat.
    system_prompt = models.TextField(blank=True)
    user_profile = models.TextField(blank=True, help_text="About the person.")
    response_instructions = models.TextField(blank=True, help_text="How the person wants answers to be.")

    # How answers are asked for from now on. Empty: the model and the preset of the house.
    model = models.CharField(max_length=200, blank=True)
    sampling = models.JSONField(default=dict, blank=True, help_text="See inference.engine.sampling.")

    # The end of the branch that the person looked at last.
    active_tail = models.ForeignKey("ChatMessage", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        indexes = [
            # The list of a person's chats, newest activity first, paged by these two.
            models.Index(fields=["user", "-modified_at", "-id"], condition=Q(deleted_at=None), name="chat_list"),
            # What the clean-up looks for.
            models.Index(fields=["deleted_at"], condition=~Q(deleted_at=None), name="chat_deleted"),
        ]

    def __str__(self) -> str:
        return self.title or str(self.id)


class ChatMessage(models.Model):
    """One message. That of an assistant has a `Turn`, which says how far it is; its content is written when it ends."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="replies")
    role = models.CharField(max_length=16, choices=Role.choices)
    content = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ChatMessageManager()

    class Meta:
        constraints = [
            # A person may begin anew by editing the first message, so there may be several roots, all of the person.
            models.CheckConstraint(
                condition=Q(role=Role.PROMPTER) | Q(parent__isnull=False), name="chat_begins_with_the_person"
            ),
        ]
        indexes = [
            # What inference.chats.listing looks for: whole words in any order, and pieces of them as Django's
            # `icontains` writes it. Nobody tells which language a chat is in, so words are taken as they are.
            GinIndex(SearchVector("content", config="simple"), name="chat_message_words"),
            GinIndex(OpClass(Upper("content"), name="gin_trgm_ops"), name="chat_message_pieces"),
        ]

    def __str__(self) -> str:
        return f"{self.role}: {self.content[:40]}"
