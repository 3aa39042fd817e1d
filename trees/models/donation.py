"""What came from the chat: conversations that people gave, and questions that were proposed as prompts."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from trees.models.tree import MessageTree


class Donation(models.Model):
    """A person gave a part of a chat to the data set. The tree stays when the chat is deleted.

    Whether it was withdrawn is said by the messages of the tree alone.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="donations")
    chat = models.ForeignKey("inference.Chat", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    tree = models.OneToOneField(MessageTree, on_delete=models.CASCADE, related_name="donation")
    # The question of the chat that became the prompt. No foreign key, since the chat may go.
    first_question = models.UUIDField(unique=True, editable=False)
    messages = models.JSONField(help_text="Id in the chat → id in the tree.")
    masked = models.PositiveSmallIntegerField(default=0, help_text="Pieces of personal data that were masked.")
    given_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"donation {self.tree_id}"


class HardPrompt(models.Model):
    """The first question of a chat that was answered badly, proposed to staff as a prompt. It goes with its chat."""

    class Status(models.TextChoices):
        OPEN = "open", _("open")
        TAKEN = "taken", _("taken")
        REFUSED = "refused", _("not taken")

    class Why(models.TextChoices):
        THUMB_DOWN = "thumb_down", _("thumb down")
        REPORTED = "reported", _("reported")
        ASKED_AGAIN = "asked_again", _("answered again and again")
        LOW_SCORE = "low_score", _("low score of a reward model")

    question = models.OneToOneField("inference.ChatMessage", on_delete=models.CASCADE, related_name="+")
    text = models.TextField(blank=True, help_text="With personal data masked; empty once it was decided.")
    lang = models.CharField(max_length=32)
    why = ArrayField(models.CharField(max_length=16, choices=Why.choices))
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.OPEN)
    tree = models.OneToOneField(
        MessageTree, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", help_text="What it became."
    )
    proposed_at = models.DateTimeField(default=timezone.now, editable=False)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["proposed_at"], condition=models.Q(status="open"), name="hard_prompt_open"),
        ]

    def __str__(self) -> str:
        return f"hard prompt {self.pk}"  # without its text: logs keep this
