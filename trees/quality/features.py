"""What the models see of a message: its vector, its length and whose turn it is."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.db.models import F, QuerySet, TextField
from django.db.models.functions import Cast, Length

from trees.models import MessageEmbedding, Role

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

FORM = 1
"""Part of the version of a model: raise it when features change."""
BATCH = 2_000
LONGEST = 10.0
"""Lengths are logarithms divided by this, so that they weigh about as much as a vector of length 1."""


def present_texts() -> QuerySet[MessageEmbedding]:
    """Return the vectors of texts that are still those of their messages and that everybody may read."""
    return MessageEmbedding.objects.filter(
        revision=F("message__revision"), message__deleted=False, message__hidden=False, message__withdrawn=False
    )


def read_features(rows: QuerySet[MessageEmbedding], *columns: str) -> Iterator[tuple[list[tuple[Any, ...]], "Matrix"]]:
    """Yield the values of `columns` and the features, BATCH rows at a time. One statement.

    Vectors are read as text: lists of floats would take ten times the memory.
    """
    import numpy as np

    facts = rows.annotate(as_text=Cast("vector", TextField()), length=Length("message__text"))
    read = facts.values_list("as_text", "length", "message__role", "is_prompt", *columns).iterator(chunk_size=BATCH)
    while part := list(islice(read, BATCH)):
        vectors = np.array([row[0][1:-1].split(",") for row in part], dtype=np.float32)
        yield [row[4:] for row in part], features(vectors, [row[1:4] for row in part])


def features(vectors: "Matrix", facts: Iterable[tuple[int, str, bool]]) -> "Matrix":
    """Return a row of features for each vector. `facts` are length in characters, role, and "is a first prompt"."""
    import numpy as np

    small = [(np.log1p(length) / LONGEST, role == Role.ASSISTANT, is_prompt) for length, role, is_prompt in facts]
    return np.hstack([vectors, np.array(small, dtype=np.float32).reshape(len(vectors), 3)])
