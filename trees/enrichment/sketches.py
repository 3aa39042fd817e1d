"""Find texts with nearly the same wording without comparing each with each. No database.

A text is the set of its character n-grams; the similarity of two texts is the share of n-grams that both have
(Jaccard).
MinHash (Broder, 1997) keeps, for each of many hash functions, the smallest hash of the set; two texts agree in one of
them with a chance that is their similarity. Locality-sensitive hashing joins ROWS of them to a band: of texts with
similarity s, a share of 1 - (1 - s^ROWS)^BANDS has a band in common (0.7: 99 %; 0.5: 59 %; 0.3: 7 %).

Bands are stored, so they must never change: all hashes are spelled out here, and no library chooses them.
"""

import re
import unicodedata
import zlib
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = "1"
"""Of the bands. Texts have to be read again after a change."""
GRAM = 4  # characters
BANDS, ROWS = 28, 5
MIN_LENGTH = 16
"""Characters. Shorter texts ("Thank you!") are alike by chance."""
MAX_LENGTH = 20_000
"""Only the beginning of longer texts counts."""
LEAST_WORDING = 0.7
"""The similarity from which on two texts have nearly the same wording, measured by `measure_similarity`."""


def grams(text: str) -> frozenset[str]:
    """Return the character n-grams of a text, in lower case and without punctuation; none if it is too short."""
    plain = unicodedata.normalize("NFKC", text[:MAX_LENGTH]).casefold()
    plain = " ".join(re.findall(r"\w+", plain))
    if len(plain) < MIN_LENGTH:
        return frozenset()
    return frozenset(plain[start : start + GRAM] for start in range(len(plain) - GRAM + 1))


def bands(text_grams: frozenset[str]) -> list[int]:
    """Return the bands of a set of n-grams as signed 64-bit numbers; none for an empty set."""
    import numpy as np

    if not text_grams:
        return []
    hashes = np.fromiter((zlib.crc32(gram.encode("utf-8", "surrogatepass")) for gram in text_grams), dtype=np.uint64)
    factors, summands, mixers = _constants()
    # Multiply-shift hashing (Dietzfelbinger, 1997): the upper half of a product modulo 2^64.
    signature = ((hashes[:, None] * factors + summands) >> np.uint64(32)).min(axis=0)
    rows = (signature.reshape(BANDS, ROWS) * mixers).sum(axis=1, dtype=np.uint64)
    return [int(band) for band in (rows ^ (rows >> np.uint64(29))).view(np.int64)]


@cache
def _constants() -> "tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]":
    import numpy as np

    def numbers(name: str, count: int) -> "NDArray[np.uint64]":
        digests = (blake2b(f"{name} {number}".encode(), digest_size=8).digest() for number in range(count))
        return np.array([int.from_bytes(digest, "big") for digest in digests], dtype=np.uint64)

    number = BANDS * ROWS
    # Odd, so that no bit is lost; a mixer for each row, so that equal numbers in other bands give another band.
    return (
        numbers("factor", number) | np.uint64(1),
        numbers("summand", number),
        (numbers("mixer", number).reshape(BANDS, ROWS) | np.uint64(1)),
    )


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the share of n-grams that both have, from 0 to 1."""
    return len(one & other) / len(one | other) if one and other else 0.0
