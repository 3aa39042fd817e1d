"""The topics of prompts, language by language: found by a nightly job, for browsing and for statistics."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import structlog
from django.db import connection, transaction
from django.db.models import Count, F, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from oasst.core.locks import advisory_lock
from trees.access import about
from trees.enrichment import clustering, embeddings
from trees.models import Message, MessageEmbedding, PromptTopic, Topic

if TYPE_CHECKING:
    from uuid import UUID

    from trees.enrichment.clustering import Vectors

log = structlog.get_logger(__name__)

LEAST_PROMPTS = 200
"""Of a language, to have topics."""
MAX_TOPICS = 40
LEARNED_FROM = 20_000
"""Prompts of a language that decide where the topics are; the others are only given one."""
NAMED_FROM = 300
"""Texts of a topic that are read for its name."""
BATCH = 5_000


def number_of_topics(prompts: int) -> int:
    """Return how many topics suit so many prompts: 200 have 7, 1,000 have 16, 6,400 and more have MAX_TOPICS."""
    return min(MAX_TOPICS, round(math.sqrt(prompts) / 2))


def find_topics() -> int:
    """Find the topics of all languages again and return how many there are. Topics of too small languages end."""
    if not embeddings.is_on():
        return 0
    model = (
        MessageEmbedding.objects.values_list("model").annotate(number=Count("pk")).order_by("-number", "model").first()
    )
    if model is None:
        return 0
    prompts = _prompts(model[0])
    sizes = prompts.order_by().values_list("message__lang").annotate(number=Count("pk"))
    large = {lang: number for lang, number in sizes if number >= LEAST_PROMPTS}
    Topic.objects.exclude(lang__in=large).delete()
    return sum(_find_in(lang, model[0], number_of_topics(number)) for lang, number in sorted(large.items()))


def _prompts(model: str) -> QuerySet[MessageEmbedding]:
    rows = MessageEmbedding.objects.filter(about("message"), is_prompt=True, model=model)
    return rows.exclude(message__review_result=False).filter(revision=F("message__revision"))


def _find_in(lang: str, model: str, number: int) -> int:
    prompts = _prompts(model).filter(message__lang=lang)
    with transaction.atomic(durable=True):
        advisory_lock("topics", lang)
        known = list(Topic.objects.filter(lang=lang, model=model).order_by("pk")[:number])
        Topic.objects.filter(lang=lang).exclude(pk__in=[topic.pk for topic in known]).delete()
        centers = _centers(prompts, number, known)
        topics = known + [Topic(lang=lang, model=model, size=0) for _ in range(number - len(known))]
        for topic, center in zip(topics, centers, strict=True):
            topic.center, topic.updated_at = center, timezone.now()
            topic.save()
        _assign(prompts, topics, centers)
        _name(topics, lang)
    log.info("topics_found", lang=lang, topics=number)
    return number


def _centers(prompts: QuerySet[MessageEmbedding], number: int, known: list[Topic]) -> "Vectors":
    import numpy as np

    newest = prompts.order_by("-message")[:LEARNED_FROM]
    vectors = np.concatenate([vectors for _, vectors in _batches(newest)])
    begun = np.array([topic.center for topic in known], dtype=np.float32) if known else None
    return clustering.find_centers(vectors, number, centers=begun)


def _batches(prompts: QuerySet[MessageEmbedding]) -> "Iterator[tuple[list[UUID], Vectors]]":
    """Yield ids and vectors. Read as text: lists of floats would take ten times the memory."""
    import numpy as np

    rows = prompts.values_list("message_id", Cast("vector", TextField())).iterator(chunk_size=BATCH)
    ids: list[UUID] = []
    texts: list[str] = []

    def batch() -> "tuple[list[UUID], Vectors]":
        return list(ids), np.array([text[1:-1].split(",") for text in texts], dtype=np.float32)

    for pk, text in rows:
        ids.append(pk)
        texts.append(text)
        if len(ids) == BATCH:
            yield batch()
            ids.clear()
            texts.clear()
    if ids:
        yield batch()


def _assign(prompts: QuerySet[MessageEmbedding], topics: list[Topic], centers: "Vectors") -> None:
    PromptTopic.objects.filter(topic__in=topics).delete()
    for ids, vectors in _batches(prompts):
        nearest = clustering.assign(vectors, centers)
        rows = [PromptTopic(message_id=pk, topic=topics[at]) for pk, at in zip(ids, nearest, strict=True)]
        PromptTopic.objects.bulk_create(rows, update_conflicts=True, unique_fields=["message"], update_fields=["topic"])


def _name(topics: list[Topic], lang: str) -> None:
    sizes = dict(PromptTopic.objects.filter(topic__in=topics).values_list("topic").annotate(number=Count("pk")))
    groups = []
    for topic in topics:
        members = PromptTopic.objects.filter(topic=topic).order_by("-message").values("message")[:NAMED_FROM]
        groups.append(list(Message.objects.filter(pk__in=members).values_list("text", flat=True)))
    names = clustering.name_groups(groups, ignored=_stop_words(groups, lang))
    for topic, name in zip(topics, names, strict=True):
        topic.name, topic.size = (name or "other")[:200], sizes.get(topic.pk, 0)
    Topic.objects.bulk_update(topics, ["name", "size"])


def _stop_words(groups: list[list[str]], lang: str) -> set[str]:
    """Return the words of these texts that full-text search leaves out: those of PostgreSQL's dictionary."""
    words = list({word for texts in groups for text in texts for word in clustering.words_of(text)})
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT word FROM unnest(%s::text[]) AS word WHERE trees_message_search(%s, word) = ''", [words, lang]
        )
        return {word for (word,) in cursor.fetchall()}
