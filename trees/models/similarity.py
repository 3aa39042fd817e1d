"""What is needed to find messages that say the same."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.utils import timezone
from pgvector.django import HalfVectorField, HnswIndex

from trees.models.message import Message, Revision

DIMENSIONS = 384
"""Of all embeddings: those of MiniLM, multilingual-e5-small and most small models."""


class AboutText(models.Model):
    """A row about the text of a message. After an edit it is replaced; until then it is about `revision`."""

    message = models.OneToOneField(Message, on_delete=models.CASCADE, primary_key=True, related_name="+")
    revision = models.OneToOneField(Revision, on_delete=models.CASCADE, related_name="+")
    # Copies of what never changes about the message, so that a search reads one table: where it joins, the planner
    # prefers reading all vectors to their index.
    lang = models.CharField(max_length=32)
    is_prompt = models.BooleanField()
    # What waits to be compared has a row of WaitingComparison: a change here would write the large indexes anew. Only
    # the release before stores rows that are not compared; trees.enrichment.pairs looks for them.
    compared = models.BooleanField(db_default=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} of {self.message_id}"


class TextSketch(AboutText):
    """A sketch of the wording: texts that share one of their `bands` probably have most words in common."""

    bands = ArrayField(models.BigIntegerField())

    class Meta:
        indexes = [
            GinIndex(fields=["bands"], name="sketch_bands"),
            models.Index(fields=["message"], condition=models.Q(compared=False), name="sketch_not_compared"),
        ]


class MessageEmbedding(AboutText):
    """The meaning as a vector of length 1. Only vectors of the same `model` can be compared."""

    model = models.CharField(max_length=200)
    vector = HalfVectorField(dimensions=DIMENSIONS)

    class Meta:
        indexes = [
            # Two indexes, because most messages are replies, and a search among prompts must not read through them.
            HnswIndex(
                fields=["vector"],
                opclasses=["halfvec_cosine_ops"],
                condition=models.Q(is_prompt=True),
                name="embedding_prompts",
            ),
            HnswIndex(
                fields=["vector"],
                opclasses=["halfvec_cosine_ops"],
                condition=models.Q(is_prompt=False),
                name="embedding_replies",
            ),
            models.Index(fields=["message"], condition=models.Q(compared=False), name="embedding_not_compared"),
        ]


class WaitingComparison(models.Model):
    """A text to compare with all that were stored before it, by its wording or its meaning. Deleted when it was."""

    class Score(models.TextChoices):
        WORDING = "wording"
        MEANING = "meaning"

    id = models.BigAutoField(primary_key=True)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+", db_index=False)
    score = models.CharField(max_length=16, choices=Score.choices)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["message", "score"], name="waiting_comparison_once")]

    def __str__(self) -> str:
        return f"{self.score} of {self.message_id}"


class NearDuplicate(models.Model):
    """Two messages that say nearly the same, in the order of their ids, until a moderator decides about them."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        DISMISSED = "dismissed", "Different enough"
        REMOVED = "removed", "One was taken out"

    id = models.BigAutoField(primary_key=True)
    first = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+", db_index=False)
    second = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+")
    wording = models.FloatField(null=True, blank=True, help_text="The share of their wording that is the same, 0 to 1.")
    meaning = models.FloatField(null=True, blank=True, help_text="The cosine of their embeddings.")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.OPEN)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["first", "second"], name="near_duplicate_once"),
            models.CheckConstraint(condition=models.Q(first__lt=models.F("second")), name="near_duplicate_in_order"),
            models.CheckConstraint(
                condition=models.Q(status="open", decided_at=None)
                | (~models.Q(status="open") & models.Q(decided_at__isnull=False)),
                name="near_duplicate_decided_whole",
            ),
        ]
        indexes = [
            models.Index(fields=["-id"], condition=models.Q(status="open"), name="near_duplicate_queue"),
        ]

    def __str__(self) -> str:
        return f"{self.first_id} and {self.second_id}"


class Topic(models.Model):
    """What many prompts of a language are about. It keeps its row while it moves from night to night."""

    id = models.BigAutoField(primary_key=True)
    lang = models.CharField(max_length=32)
    name = models.CharField(max_length=200, help_text="The words that tell it from the other topics.")
    model = models.CharField(max_length=200)
    center = HalfVectorField(dimensions=DIMENSIONS)
    size = models.PositiveIntegerField(help_text="Prompts.")
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["lang", "-size"], name="topic_by_size")]

    def __str__(self) -> str:
        return self.name


class PromptTopic(models.Model):
    """The topic of a prompt. Not a column of its embedding, whose index would be written anew for each change."""

    message = models.OneToOneField(Message, on_delete=models.CASCADE, primary_key=True, related_name="+")
    topic = models.ForeignKey(Topic, on_delete=models.CASCADE, related_name="prompts")

    def __str__(self) -> str:
        return f"{self.topic_id} of {self.message_id}"
