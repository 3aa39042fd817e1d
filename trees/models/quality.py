"""What machines predict that reviewers will say of messages. It orders work and decides nothing."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from trees.models.message import Message, Revision


class QualityModel(models.Model):
    """A linear model on embeddings that predicts what reviewers say. One row for each target and language: the last one
    that was learned, and how good it was on texts that it had not seen (`trees.quality.assessment`).
    """

    class Target(models.TextChoices):
        ACCEPTED = "accepted", "Reviewers accept it"
        QUALITY = "quality", "Overall quality"

    class State(models.TextChoices):
        IN_FORCE = "in_force", "In use"
        NO_BETTER = "no_better", "No better than a constant prediction"
        TOO_FEW = "too_few", "Too few texts to learn from"

    id = models.BigAutoField(primary_key=True)
    target = models.CharField(max_length=16, choices=Target.choices)
    lang = models.CharField(max_length=32, blank=True, help_text="Empty: all languages without a model of their own.")
    state = models.CharField(max_length=16, choices=State.choices)
    embedding_model = models.CharField(max_length=200, help_text="It reads vectors of this model only.")
    version = models.CharField(max_length=16, help_text="A digest of the weights.")
    weights = ArrayField(models.FloatField(), help_text="Of the features, then the constant.")
    texts = models.PositiveIntegerField(help_text="It learned from so many.")
    figures = models.JSONField(default=dict, help_text="What its predictions were worth on texts that it had not seen.")
    learned_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["target", "lang"], name="quality_model_once")]

    def __str__(self) -> str:
        return f"{self.get_target_display()}, {self.lang or 'all languages'}"


class QualityScore(models.Model):
    """The predictions about the text of a message that waits for reviews. Moderators see it, nobody else.

    Predictions of different `version`s are not compared: a new model makes all of them again.
    """

    message = models.OneToOneField(Message, on_delete=models.CASCADE, primary_key=True, related_name="quality_score")
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="+")
    version = models.CharField(max_length=40, help_text="Of the models that made it.")
    accepted = models.FloatField(null=True, help_text="The probability that reviewers accept it.")
    quality = models.FloatField(null=True, help_text="The mean of their answers about its quality, 0 to 1.")

    class Meta:
        # Moderators see the messages first that are most likely to be rejected.
        indexes = [models.Index(fields=["accepted", "message"], name="quality_score_worst")]

    def __str__(self) -> str:
        return f"score of {self.message_id}"
