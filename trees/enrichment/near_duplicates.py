"""Find messages that say nearly the same.

Two ways lead to them: the wording (trees.enrichment.sketches) and, for prompts, the meaning (embeddings). What they
find is a hint: it never refuses, hides or removes anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from oasst.core.after_commit import wake
from trees.access import PUBLIC
from trees.enrichment import embeddings, sketches
from trees.enrichment.about_texts import replace_rows
from trees.enrichment.readers import Reader, Result, Text
from trees.enrichment.vector_queries import limit_time, nearest
from trees.models import Message, TextSketch, WaitingComparison
from trees.policies.reading import current_policy

log = structlog.get_logger(__name__)

MAX_CANDIDATES = 200
NEAREST = 20
"""Vectors whose messages are looked up: some may be hidden."""
HINTS = 3
HINT_SECONDS = 0.5

Found = dict[tuple[UUID, str], float]
"""Ids and texts of messages, with a score."""


@dataclass(frozen=True)
class Similar:
    """A message that says nearly the same. At least one of the two scores is high."""

    message_id: UUID
    text: str
    wording: float | None
    meaning: float | None


def find_hints(text: str, lang: str) -> list[Similar]:
    """Find similar prompts for somebody who waits: none if that fails, whatever the error.

    HINT_SECONDS is the limit of each statement, not of the whole. Texts that are too long to be stored have no hints,
    and nothing has while OASST_SCORING is off.
    """
    if not settings.OASST_SCORING or len(text) > current_policy().message_size_limit:
        return []
    try:
        embedded = embeddings.embed_now(text)  # before the transaction: it may take a while
    except Exception as error:
        log.warning("no_hints_by_meaning", error=type(error).__name__)
        embedded = None
    try:
        with transaction.atomic():
            limit_time(HINT_SECONDS)
            return _find_similar(text, embedded, lang, HINTS)
    except Exception as error:
        log.warning("no_hints", error=type(error).__name__)
        return []


def find_similar(text: str, lang: str, limit: int = HINTS) -> list[Similar]:
    """Return public prompts of this language that ask for nearly the same, best first. Rejected ones do not count.

    Until the embedding model is in memory of this process, only the wording is compared.
    """
    return _find_similar(text, embeddings.embed_now(text), lang, limit)


def _find_similar(text: str, embedded: tuple[str, Any] | None, lang: str, limit: int) -> list[Similar]:
    messages = Message.objects.filter(PUBLIC).exclude(review_result=False)
    where = Q(lang=lang, is_prompt=True)
    wordings = same_wording(sketches.grams(text), where, messages, limit)
    meanings: Found = {}
    if embedded and embeddings.knows(embedded[0], lang):
        meanings = same_meaning(*embedded, where, messages, limit)
    found = [
        Similar(pk, other, wordings.get((pk, other)), meanings.get((pk, other)))
        for pk, other in {**wordings, **meanings}
    ]
    return sorted(found, key=lambda one: -max(one.wording or 0, one.meaning or 0))[:limit]


def same_wording(grams: frozenset[str], where: Q, messages: QuerySet[Message], limit: int) -> Found:
    """Return those of these messages with the same wording whose sketches meet the condition `where`."""
    bands = sketches.bands(grams)
    if not bands:
        return {}
    # In order of their ids, so that of a hundred equal texts all are paired with the same few. Of the ids as text:
    # else the planner may walk the primary key and compare the bands of most rows.
    rows = TextSketch.objects.filter(where, bands__overlap=bands).order_by(Cast("message_id", TextField()))
    texts = _texts(messages, dict(rows.values_list("message_id", "revision_id")[:MAX_CANDIDATES]))
    scores = {(pk, text): sketches.similarity(grams, sketches.grams(text)) for pk, text in texts}
    return _best({key: score for key, score in scores.items() if score >= sketches.LEAST_WORDING}, limit)


def same_meaning(model: str, vector: Any, where: Q, messages: QuerySet[Message], limit: int) -> Found:
    """Return those of these messages with the same meaning whose embeddings meet the condition `where`."""
    least = embeddings.least_cosine(model)
    near = {
        pk: (revision, 1 - distance)
        for pk, revision, distance in nearest(model, vector, where, limit=NEAREST)
        if 1 - distance >= least
    }
    texts = _texts(messages, {pk: revision for pk, (revision, _) in near.items()})
    return _best({(pk, text): near[pk][1] for pk, text in texts}, limit)


def _texts(messages: QuerySet[Message], revisions: dict[UUID, UUID]) -> list[tuple[UUID, str]]:
    """Return ids and texts of those of these messages whose present text is the one that was read."""
    if not revisions:
        return []
    rows = messages.filter(pk__in=revisions).order_by("pk").values_list("pk", "text", "revision_id")
    return [(pk, text) for pk, text, revision in rows if revisions[pk] == revision]


def _best(found: Found, limit: int) -> Found:
    return dict(sorted(found.items(), key=lambda item: -item[1])[:limit])


# --- The reader of wordings ---


@dataclass(frozen=True)
class Sketch(Result):
    bands: tuple[int, ...] = ()


class SketchReader(Reader):
    """Stores a sketch of the wording of each message."""

    kind = "wording"
    batch_size = 500

    def read(self, texts: Sequence[Text]) -> Sequence[Sketch]:
        all_bands = (sketches.bands(sketches.grams(text.text)) for text in texts)
        return [Sketch({"bands": len(bands)}, "minhash", sketches.VERSION, bands=tuple(bands)) for bands in all_bands]

    def keep(self, read: Sequence[tuple[Text, Result]]) -> None:
        def row(result: Result) -> TextSketch | None:
            assert isinstance(result, Sketch)
            return TextSketch(bands=list(result.bands)) if result.bands else None

        replace_rows(TextSketch, read, row, compare_by=WaitingComparison.Score.WORDING, compare_replies=True)
        wake(embeddings.PAIR_FINDER)
