"""Group vectors, and name groups of texts. No database.

k-means on vectors of length 1 (spherical k-means: Dhillon and Modha, 2001), begun by k-means++ (Arthur and
Vassilvitskii, 2007). Names are the words with the highest class-based TF-IDF (Grootendorst, 2022): often in this group,
seldom in the others.
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

ROUNDS = 30
LEAST_LIFT = 1.5
"""How many times as frequent as in all groups together a word of a name is in its group."""
MIN_WORD = 3  # letters
MIN_TEXTS = 3
"""A word is part of a name only if so many texts of the group have it: one text alone is not quoted."""


def find_centers(vectors: "Vectors", number: int, *, centers: "Vectors | None" = None, seed: int = 0) -> "Vectors":
    """Return the centers of `number` groups, of length 1. `centers` are those to begin with; the rest is drawn."""
    import numpy as np

    rng = np.random.default_rng(seed)
    begun = np.empty((0, vectors.shape[1]), np.float32) if centers is None else centers[:number]
    found = _draw(vectors, number, begun, rng)
    for _ in range(ROUNDS):
        nearest = assign(vectors, found)
        sums = np.zeros_like(found)
        np.add.at(sums, nearest, vectors)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        # A group without vectors stays where it is.
        moved = np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), found).astype(np.float32)
        if np.allclose(moved, found, atol=1e-5):
            break
        found = moved
    return found


def _draw(vectors: "Vectors", number: int, centers: "Vectors", rng: "np.random.Generator") -> "Vectors":
    """Add centers until there are `number`: vectors far from all others are likelier."""
    import numpy as np

    far = np.ones(len(vectors)) if not len(centers) else _distance(vectors, centers)
    while len(centers) < number:
        total = far.sum()
        chosen = rng.choice(len(vectors), p=far / total if total > 0 else None)
        centers = np.concatenate([centers, vectors[chosen : chosen + 1]])
        far = np.minimum(far, _distance(vectors, centers[-1:]))
    return centers


def _distance(vectors: "Vectors", centers: "Vectors") -> "NDArray[np.float64]":
    import numpy as np

    return np.maximum(0, 1 - (vectors @ centers.T).max(axis=1)).astype(np.float64)


def assign(vectors: "Vectors", centers: "Vectors") -> "NDArray[np.int64]":
    """Return the number of the nearest center for each vector."""
    return (vectors @ centers.T).argmax(axis=1)


def name_groups(groups: Sequence[Sequence[str]], words: int = 3, *, ignored: Collection[str] = ()) -> list[str]:
    """Return a name for each group of texts, of so many words; an empty one for groups that share no words.

    `ignored` are words that say nothing, such as "the".
    """
    counts = [Counter(word for text in group for word in words_of(text) if word not in ignored) for group in groups]
    everywhere = sum((Counter(count) for count in counts), Counter[str]())
    average = sum(everywhere.values()) / max(1, len(groups))
    texts = sum(len(group) for group in groups)
    names = []
    for group, count in zip(groups, counts, strict=True):
        total = max(1, sum(count.values()))
        weights = {
            word: n / total * math.log(1 + average / everywhere[word])
            for word, n in count.items()
            # "please" is as frequent elsewhere.
            if n >= MIN_TEXTS and n / len(group) >= LEAST_LIFT * everywhere[word] / texts
        }
        best = sorted(weights, key=lambda word: (-weights[word], word))[:words]
        names.append(", ".join(best))
    return names


def words_of(text: str) -> set[str]:
    """Return the words of a text, each once, so that a number of uses is one of texts."""
    return {word for word in re.findall(r"[^\W\d_]+", text.casefold()) if len(word) >= MIN_WORD}
