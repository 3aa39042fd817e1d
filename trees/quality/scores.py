"""Predictions about messages that wait for reviews: made every minute, shown to moderators, used to order reviews.

A message that will probably be rejected is reviewed after others that are equally due, for a day at most. Where nothing
was predicted, and when machines are switched off, the order is that of `trees.lifecycle.demand.priority` alone.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.db.models import Case, CharField, Count, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone

from oasst.core.jobs import timed_rounds
from oasst.core.locks import advisory_lock
from trees.enrichment import embeddings
from trees.lifecycle.states import REVIEW_WORK
from trees.models import Message, MessageEmbedding, Opening, QualityModel, QualityScore
from trees.quality import features, learning
from trees.quality.assessment import Bin

if TYPE_CHECKING:
    from trees.quality.linear import Matrix

LIKELY_REJECTED = Q(accepted__lt=0.5)
"""A condition on `QualityScore`: more likely rejected than accepted."""
DEFERRED_FOR = timedelta(days=1)
"""How long other reviews go first. Predictions are wrong, and nobody should wait for ever."""
BATCH = 500

Target = QualityModel.Target


@dataclass(frozen=True)
class Models:
    """The models that were learned last, by target and language."""

    rows: dict[tuple[str, str], QualityModel]

    @classmethod
    def load(cls) -> "Models":
        """Return the models, none while machines are switched off. One statement."""
        rows = QualityModel.objects.all() if embeddings.is_on() else QualityModel.objects.none()
        return cls({(row.target, row.lang): row for row in rows})

    def in_force(self, target: str, lang: str) -> QualityModel | None:
        """Return the model for this language, or None if it is no better than a constant prediction."""
        found = self.rows.get((target, lang)) or self.rows.get((target, ""))
        return found if found and found.state == QualityModel.State.IN_FORCE else None

    @cached_property
    def langs(self) -> set[str]:
        """The languages with models of their own."""
        return {lang for _, lang in self.rows if lang}

    @property
    def embedding_model(self) -> str:
        """The model whose vectors they read; empty if none of them is in force."""
        used = [row.embedding_model for row in self.rows.values() if row.state == QualityModel.State.IN_FORCE]
        return used[0] if used else ""  # all were learned together

    def version(self, lang: str) -> str:
        found = [self.in_force(target, lang) for target in Target.values]
        return "/".join(model.version if model else "-" for model in found)


def refresh() -> int:
    """Predict what reviewers will say of texts that wait and have no prediction yet, and put the reviews in order.

    Return how many predictions were made. Safe to run twice and at the same time.
    """
    models = Models.load()
    _forget_outdated(models)
    made = 0
    for _ in timed_rounds():
        number = _score_batch(models)
        made += number
        if number < BATCH:
            break
    order_reviews()
    return made


def _waiting() -> Exists:
    return Exists(Opening.objects.filter(message=OuterRef("message"), work__in=REVIEW_WORK))


def _forget_outdated(models: Models) -> None:
    """Delete predictions about texts that wait no longer, that changed, and those of earlier models."""
    current = {models.version(lang) for lang in ("", *models.langs)} if models.embedding_model else set()
    with transaction.atomic(durable=True):
        advisory_lock("trees.quality.scores")
        QualityScore.objects.exclude(_waiting(), version__in=current, revision=F("message__revision")).delete()


def _score_batch(models: Models) -> int:
    """Make predictions about the next texts, at most BATCH, and return how many. The number of statements is fixed."""
    if not models.embedding_model:
        return 0
    with transaction.atomic(durable=True):
        advisory_lock("trees.quality.scores")
        texts = features.read_features(_without_score(models)[:BATCH], "message_id", "revision_id", "lang")
        scores = [score for values, rows in texts for score in _scores(models, values, rows)]
        QualityScore.objects.bulk_create(
            scores,
            update_conflicts=True,
            unique_fields=["message"],
            update_fields=["revision", "version", "accepted", "quality"],
        )
    return len(scores)


def _without_score(models: Models) -> QuerySet[MessageEmbedding]:
    own = [When(lang=lang, then=Value(models.version(lang))) for lang in sorted(models.langs)]
    version = Case(*own, default=Value(models.version("")), output_field=CharField())
    known = QualityScore.objects.filter(
        message=OuterRef("message"), revision=OuterRef("revision"), version=OuterRef("current")
    )
    texts = features.present_texts().filter(_waiting(), model=models.embedding_model)
    return texts.annotate(current=version).exclude(Exists(known)).order_by("message")


def _scores(models: Models, values: list[tuple[UUID, UUID, str]], rows: "Matrix") -> list[QualityScore]:
    import numpy as np

    made = [
        QualityScore(message_id=message, revision_id=revision, version=models.version(lang))
        for message, revision, lang in values
    ]
    langs = np.array([lang if lang in models.langs else "" for *_, lang in values], dtype=np.str_)
    for target in Target.values:
        for lang in sorted(set(langs.tolist())):
            model = models.in_force(target, lang)
            if model is None:
                continue
            (places,) = np.nonzero(langs == lang)
            predictions = learning.predict(target, rows[places], np.array(model.weights))
            for place, prediction in zip(places.tolist(), predictions.tolist(), strict=True):
                setattr(made[place], target, prediction)
    return made


def order_reviews() -> int:
    """Let reviews of texts that are likely to be rejected wait behind others of the same priority, and return how many
    openings moved. Five statements.

    Openings that somebody is just taking are left for the next run, so nobody waits for this.
    """
    likely = Exists(QualityScore.objects.filter(LIKELY_REJECTED, message=OuterRef("message")))
    # The age of the message, not of the opening: a split vote makes new openings, which would wait for a day each.
    young = Q(message__created_at__gt=timezone.now() - DEFERRED_FOR)
    with transaction.atomic(durable=True):
        openings = Opening.objects.select_for_update(skip_locked=True, of=("self",), no_key=True)
        later = list(openings.filter(likely, young, work__in=REVIEW_WORK, deferred=False).values_list("pk", flat=True))
        again = list(openings.filter(deferred=True).exclude(likely, young).values_list("pk", flat=True))
        Opening.objects.filter(pk__in=later).update(deferred=True)
        Opening.objects.filter(pk__in=again).update(deferred=False)
    return len(later) + len(again)


@dataclass(frozen=True)
class Prediction:
    """What moderators see of a prediction, with how such predictions turned out before."""

    model: QualityModel
    value: float
    similar: Bin


def predictions_about(message: Message) -> list[Prediction]:
    """Return the predictions about a text that reviewers have not decided about. Two statements at most."""
    if message.review_result is not None:
        return []
    score = QualityScore.objects.filter(message=message, revision=message.revision_id).first()
    if score is None:
        return []
    models, found = Models.load(), []
    for target in Target.values:
        model, value = models.in_force(target, message.lang), getattr(score, target)
        if model is not None and value is not None and score.version == models.version(message.lang):
            found.append(Prediction(model, value, nearest_bin(model, value)))
    return found


def nearest_bin(model: QualityModel, value: float) -> Bin:
    return min(bins_of(model), key=lambda one: abs(one.predicted - value))


def bins_of(model: QualityModel) -> list[Bin]:
    return [Bin(*values) for values in model.figures.get("bins", [])]


def count_scores() -> tuple[int, int]:
    """Return how many waiting texts have a prediction, and how many will probably be rejected. One statement."""
    counted = QualityScore.objects.aggregate(all=Count("pk"), rejected=Count("pk", filter=LIKELY_REJECTED))
    return counted["all"], counted["rejected"]
