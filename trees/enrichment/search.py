"""Search messages by what they mean, together with the words they contain.

The two rankings are joined by reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009): a message scores the sum of
1 / (SMOOTHING + place) over the rankings that have it. Places can be compared where scores cannot.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib.postgres.search import SearchRank
from django.db.models import Case, F, Q, QuerySet, When

from trees import word_search
from trees.enrichment import embeddings
from trees.enrichment.vector_queries import limited_search, nearest
from trees.models import Message

SMOOTHING = 60
"""As in the paper: being fairly good in both rankings weighs more than being best in one."""
DEPTH = 50
"""Places of each ranking that are joined."""
NEAREST = 200
"""Vectors of which those are taken whose messages the reader may read."""
SECONDS = 3.0
"""After which a statement is given up."""
MAX_MATCHES = 500
"""Messages with the words that are ranked. Of more frequent words any of them are as good as others."""


def rank_by_meaning(messages: QuerySet[Message], text: str, lang: str, words: str | None) -> list[UUID]:
    """Return the ids of those of these messages that fit the text, best first, at most 2 × DEPTH.

    `lang` is the language of the text, and `words` is what `word_search.find_query` makes of both. Without an embedding
    model that knows the language, and until it is in memory of this process, only the words count. Raise Busy
    `search_too_long`.
    """
    text = text.replace("\0", " ").encode("utf-8", "replace").decode()
    if not text.strip():
        return []
    embedded = embeddings.embed_now(text)  # before the transaction: it may take a while
    with limited_search(SECONDS):
        rankings = [_by_words(messages, words)] if words else []
        if embedded and embeddings.knows(embedded[0], lang):
            rankings.append(_by_vector(messages, *embedded, lang))
    scores: dict[UUID, float] = defaultdict(float)
    for ranking in rankings:
        for place, pk in enumerate(ranking, start=1):
            scores[pk] += 1 / (SMOOTHING + place)
    return sorted(scores, key=lambda pk: (-scores[pk], pk))


def in_order_of(ids: Sequence[UUID]) -> Case:
    """Return an expression that sorts messages in the order of these ids."""
    return Case(*(When(pk=pk, then=place) for place, pk in enumerate(ids)), default=len(ids))


def _by_words(messages: QuerySet[Message], words: str) -> Sequence[UUID]:
    """Return the messages that have all words, ranked by how often and how close together."""
    query = word_search.FoundQuery(words)
    matches = messages.filter(search=query).order_by().values("pk")[:MAX_MATCHES]
    ranked = Message.objects.filter(pk__in=matches).order_by(-SearchRank(F("search"), query), "pk")
    return list(ranked.values_list("pk", flat=True)[:DEPTH])


def _by_vector(messages: QuerySet[Message], model: str, vector: Any, lang: str) -> Sequence[UUID]:
    """Return the messages with the nearest vectors: prompts and replies have an index each."""
    kinds = [Q(is_prompt=is_prompt, lang=lang) for is_prompt in (True, False)]
    near = {pk: distance for pk, _, distance in nearest(model, vector, *kinds, limit=NEAREST)}
    found = messages.filter(pk__in=near).order_by().values_list("pk", flat=True)
    return sorted(found, key=lambda pk: (near[pk], pk))[:DEPTH]
