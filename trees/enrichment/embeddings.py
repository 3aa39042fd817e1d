"""The meaning of messages as vectors: the model of this site, and the reader that stores a vector for each message."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from inference.engine import encoders, fetching
from inference.engine.base import EngineError
from inference.scoring.base import Unavailable
from oasst.core.after_commit import wake
from trees.enrichment.about_texts import replace_rows
from trees.enrichment.readers import Reader, Result, Text
from trees.models import DIMENSIONS, MessageEmbedding, WaitingComparison

if TYPE_CHECKING:
    from inference.engine.encoders import Embedder, Vectors

RETRY_SECONDS = 600.0
PAIR_FINDER = "trees.jobs.find_near_duplicates"
_ENGLISH_ONLY = re.compile(r"all-minilm|(^|--)e5-|[-_]en([-_@.]|$)|english")
"""Names of models that know only English: the default one, e5 without "multilingual", and bge-small-en and its like."""


def is_on() -> bool:
    return settings.OASST_SCORING and settings.OASST_EMBEDDINGS != "none"


def _folder() -> Path:
    return fetching.folder_of(settings.OASST_EMBEDDINGS, settings.OASST_HOME / "models")


def needs_model() -> bool:
    """Return True if a model has to be fetched before this site can compare meanings."""
    try:
        return is_on() and not fetching.is_fetched(_folder())
    except EngineError:
        return True  # fetching reports the bad name


def load() -> "Embedder":
    """Return the site's embedding model, loaded if necessary. Raise EngineError with what to do."""
    folder = _folder()
    if not fetching.is_fetched(folder):
        raise EngineError(f"The embedding model is not here: run `./manage.py fetch_model` (looked in {folder}).")
    return _fitting(encoders.load_embedder(folder, threads=settings.ENGINE_THREADS))


def embed_now(text: str) -> tuple[str, "Vectors"] | None:
    """Return the name of the model and the vector of a text, for somebody who waits for an answer.

    Returns None if embeddings are off, if there is no usable model, and until the model is in memory: this call then
    starts to load it.
    """
    embedder = _embedder_now()
    return (embedder.name, embedder.embed([text])[0]) if embedder else None


def is_ready() -> bool:
    """Return True if `embed_now` has a model. If not, it is being loaded now, where there is one."""
    return _embedder_now() is not None


def is_ready_for(lang: str) -> bool:
    """Return True if `embed_now` has a model that knows this language."""
    embedder = _embedder_now()
    return embedder is not None and knows(embedder.name, lang)


def _embedder_now() -> "Embedder | None":
    if not is_on():
        return None
    try:
        embedder = encoders.embedder_if_loaded(_folder(), threads=settings.ENGINE_THREADS)
        return _fitting(embedder) if embedder else None
    except EngineError:
        return None  # the reader logs why


def _fitting(embedder: "Embedder") -> "Embedder":
    if embedder.dimensions != DIMENSIONS:
        raise EngineError(
            f"Vectors of {embedder.name} have {embedder.dimensions} dimensions, and this site stores {DIMENSIONS}. "
            "Choose another model as OASST_EMBEDDINGS, for example intfloat/multilingual-e5-small."
        )
    return embedder


def least_cosine(model: str) -> float:
    """Return the cosine from which on two prompts ask for the same, measured by `measure_similarity`.

    Vectors of e5 models lie close together: unrelated texts have a cosine of 0.7 and more.
    """
    return 0.94 if "e5" in model.lower() else 0.8


def knows(model: str, lang: str) -> bool:
    """Return True if the model tells texts of this language apart.

    One that learned English takes half of the different questions in another language for the same (measured by
    `measure_reading duplicates`), so there only the wording is compared.
    """
    return lang.split("-")[0] == "en" or not _ENGLISH_ONLY.search(model.lower())


@dataclass(frozen=True)
class Embedding(Result):
    vector: Any = None


class EmbeddingReader(Reader):
    """Stores the vector of each message."""

    kind = "embedding"
    batch_size = 128

    def is_enabled(self) -> bool:
        return is_on()

    def read(self, texts: Sequence[Text]) -> Sequence[Embedding]:
        try:
            embedder = load()
        except EngineError as error:
            raise Unavailable(str(error), retry_after=RETRY_SECONDS) from error
        model, _, version = embedder.name.partition("@")
        vectors = embedder.embed([text.text for text in texts])
        return [Embedding({"dimensions": DIMENSIONS}, model, version, vector=vector) for vector in vectors]

    def keep(self, read: Sequence[tuple[Text, Result]]) -> None:
        def row(result: Result) -> MessageEmbedding:
            assert isinstance(result, Embedding)
            return MessageEmbedding(model=f"{result.model}@{result.version}", vector=result.vector)

        # Replies are stored to be found. All replies to one prompt mean about the same, so they are not compared.
        meaning = WaitingComparison.Score.MEANING
        replace_rows(MessageEmbedding, read, row, compare_by=meaning, compare_replies=False)
        wake(PAIR_FINDER)
