"""Measuring how well and how fast similar prompts are found."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from django.db import transaction

from oasst.core.ids import uuid7
from oasst.simulation.measuring.timing import Timings
from oasst.simulation.scale.texts import PHRASES
from trees.contributing.posting import hash_text
from trees.enrichment import embeddings, registry, sketches
from trees.enrichment.embeddings import Embedding
from trees.enrichment.near_duplicates import find_similar
from trees.enrichment.readers import Result, Text
from trees.enrichment.sketches import LEAST_WORDING
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Revision

BATCH = 500
COSINES = (0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.94, 0.95)


@dataclass(frozen=True)
class Pair:
    """Two prompts of a sample that people judged."""

    ask_the_same: bool
    first: str
    second: str


def read_pairs(file: Path) -> list[Pair]:
    """Read lines of `same` or `other` and two prompts, between tabs. Raise ValueError with the line."""
    pairs = []
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        judgment, *prompts = line.split("\t")
        if judgment not in ("same", "other") or len(prompts) != 2:
            raise ValueError(f"{file}, line {number}: not `same` or `other` and two prompts between tabs.")
        pairs.append(Pair(judgment == "same", *prompts))
    return pairs


def judge(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield how many pairs that ask the same are found, and how many others, at each least cosine."""
    embedder = embeddings.load()
    first, second = (embedder.embed([getattr(pair, name) for pair in pairs]) for name in ("first", "second"))
    cosines = (first * second).sum(axis=1).tolist()
    wordings = [sketches.similarity(sketches.grams(pair.first), sketches.grams(pair.second)) for pair in pairs]
    same = sum(pair.ask_the_same for pair in pairs)
    yield f"{embedder.name}, {len(pairs)} pairs; {'found':>12}{'false hints':>14}"
    yield _row("by wording alone", pairs, [wording >= LEAST_WORDING for wording in wordings], same)
    for least in sorted({*COSINES, embeddings.least_cosine(embedder.name)}):
        hits = [c >= least or w >= LEAST_WORDING for c, w in zip(cosines, wordings, strict=True)]
        mark = " (in use)" if least == embeddings.least_cosine(embedder.name) else ""
        yield _row(f"or a cosine of {least}{mark}", pairs, hits, same)


def _row(name: str, pairs: Sequence[Pair], hits: Sequence[bool], same: int) -> str:
    found = sum(hit and pair.ask_the_same for hit, pair in zip(hits, pairs, strict=True))
    false = sum(hits) - found
    return f"{name:40}{found:4} of {same:<4}{false:6} of {len(pairs) - same}"


def make_prompts(number: int, seed: int) -> None:
    """Write so many prompts with nothing below them: a sentence of the made-up trees, and words of their own."""
    rng = random.Random(seed)
    phrases = PHRASES["en"]
    words = sorted(
        {word.strip(".,?:;").lower() for text in phrases.answers + phrases.follow_ups for word in text.split()}
    )
    for start in range(0, number, BATCH):
        trees, revisions, messages = [], [], []
        for _ in range(start, min(start + BATCH, number)):
            text = rng.choice(phrases.prompts).format(rng.choice(phrases.subjects))
            text += f" I mean {' '.join(rng.sample(words, 8))}, and {rng.choice(phrases.subjects)} too."
            tree = MessageTree(
                id=uuid7(), lang="en", state=State.READY_FOR_EXPORT, goal_tree_size=1, max_depth=1, max_children_count=1
            )
            message = Message(
                id=tree.pk,
                tree=tree,
                role="prompter",
                depth=0,
                position=0,
                text=text,
                text_digest=hash_text(text),
                lang="en",
                frontend_message_id=str(tree.pk),
                review_result=True,
            )
            message.revision = Revision(message=message, text=text)
            trees.append(tree)
            revisions.append(message.revision)
            messages.append(message)
        with transaction.atomic():
            MessageTree.objects.bulk_create(trees)
            Revision.objects.bulk_create(revisions)
            Message.objects.bulk_create(messages)


def read_prompts(embedded: int, seed: int) -> Iterator[int]:
    """Let the readers of wording and meaning read the prompts; yield how many they have read.

    After `embedded` of them the vectors are mixtures of two of the first ones, which takes less time than the model.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    sketcher, embedder = (registry.readers()[kind] for kind in ("wording", "embedding"))
    columns = Message.objects.filter(parent=None).order_by("pk").values_list("revision_id", "pk", "text", "lang")
    first: list[Embedding] = []
    for read in range(0, columns.count(), BATCH):
        texts = [Text(*row) for row in columns[read : read + BATCH]]
        if len(first) < embedded:
            embeddings_read = [one for one in embedder.read(texts) if isinstance(one, Embedding)]
            first += embeddings_read
        else:
            embeddings_read = [
                _mixture(first[at], first[by]) for at, by in rng.integers(len(first), size=(len(texts), 2))
            ]
        with transaction.atomic():
            sketches_read = [one for one in sketcher.read(texts) if isinstance(one, Result)]
            sketcher.keep(list(zip(texts, sketches_read, strict=True)))
            embedder.keep(list(zip(texts, embeddings_read, strict=True)))
        yield read + len(texts)


def _mixture(one: Embedding, other: Embedding) -> Embedding:
    vector = one.vector + 0.5 * other.vector
    return replace(one, vector=vector / (vector**2).sum() ** 0.5)


def time_searches(times: int, seed: int) -> Timings:
    """Look for prompts like some of the database, with a word left out and one added."""
    rng, timings = random.Random(seed), Timings()
    embeddings.load()
    prompts = list(Message.objects.filter(parent=None).order_by("text_digest").values_list("text", "lang")[:times])
    for text, lang in prompts:
        words = text.split()
        del words[rng.randrange(len(words))]
        words.insert(rng.randrange(len(words) + 1), "really")
        with timings.measure("find_similar"):
            find_similar(" ".join(words), lang)
        with timings.measure("of these, embedding"):
            embeddings.embed_now(" ".join(words))
    return timings
