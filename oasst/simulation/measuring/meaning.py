"""Measuring the search by meaning on /explore/ among many vectors, and how PostgreSQL finds what it shows."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connection, transaction

from oasst.simulation.measuring.exploring import Query, measure_searches, week
from oasst.simulation.measuring.timing import Timings
from oasst.simulation.scale import bulk
from oasst.simulation.scale.texts import VOCABULARY, word
from trees.enrichment import embeddings
from trees.models import Message, MessageEmbedding

LANG = "en"  # the default model knows no other
READ = 2_000
"""Texts that the model reads. The vectors of the others are mixtures of two of these, which takes less time."""
BATCH = 10_000
_COLUMNS = {"trees_messageembedding": "message_id revision_id lang is_prompt compared model vector"}
# Each of two indexes is built in memory, or it takes hours.
_MEMORY = "SET LOCAL maintenance_work_mem = '3GB'"


def fill(number: int, seed: int) -> int:
    """Give so many English messages a vector, the newest first. Return how many have one."""
    import numpy as np

    rows = list(
        Message.objects.filter(lang=LANG).order_by("-created_at").values_list("pk", "revision_id", "depth")[:number]
    )
    embedder, rng = embeddings.load(), np.random.default_rng(seed)
    starts = Message.objects.filter(pk__in=[pk for pk, *_ in random.Random(seed).sample(rows, min(READ, len(rows)))])
    texts = list(starts.values_list("text", flat=True))
    known = np.concatenate([embedder.embed(texts[at : at + 128]) for at in range(0, len(texts), 128)])
    with transaction.atomic(), bulk.without_indexes(list(_COLUMNS)):
        with connection.cursor() as cursor:
            cursor.execute(_MEMORY)
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            first, second = rng.integers(len(known), size=(2, len(batch)))
            vectors = known[first] + rng.uniform(0.2, 0.9, (len(batch), 1)) * known[second]
            vectors += rng.normal(0, 0.01, vectors.shape)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            bulk.copy({"trees_messageembedding": _lines(batch, vectors, embedder.name)}, _COLUMNS)
    bulk.vacuum(list(_COLUMNS))
    bulk.analyze(list(_COLUMNS))
    return MessageEmbedding.objects.count()


def _lines(batch: Sequence[Any], vectors: Any, model: str) -> list[bulk.Row]:
    return [
        (str(pk), str(revision), LANG, "t" if depth == 0 else "f", "t", model, f"[{','.join(f'{x:.4f}' for x in row)}]")
        for (pk, revision, depth), row in zip(batch, vectors.tolist(), strict=True)
    ]


def searches() -> Iterator[tuple[str, Query]]:
    """Yield a name and the query of each kind of search by meaning."""
    usual, rare = word(LANG, VOCABULARY // 100), word(LANG, VOCABULARY - 2)
    meaning = {"lang": LANG, "how": "meaning"}
    yield "meaning: a question", {**meaning, "q": "How do I keep bread from going stale?"}
    yield "meaning: a word in every third text", {**meaning, "q": "bread"}
    yield "meaning: a usual word", {**meaning, "q": usual}
    yield "meaning: a rare word", {**meaning, "q": rare}
    yield "meaning: among conversations", {**meaning, "q": "bread", "kind": "prompt"}
    yield "meaning: among answers", {**meaning, "q": "bread", "kind": "answer"}
    yield "meaning: of a week", {**meaning, "q": "bread", **week()}


def searches_of_people() -> Iterator[tuple[str, Query]]:
    """Yield those that need an account."""
    yield "meaning: own messages", {"lang": LANG, "how": "meaning", "q": "bread", "own": "on"}
    yield "meaning: in review", {"lang": LANG, "how": "meaning", "q": "bread", "state": "in_review"}


def measure(times: int) -> Timings:
    """Ask for each search as a visitor and as the person with the most messages."""
    embeddings.load()
    return measure_searches([*searches()], [*searches(), *searches_of_people()], times)
