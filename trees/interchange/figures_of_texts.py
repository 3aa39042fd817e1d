"""Figures of the texts of a data set: lengths, repeated texts, scores of machines. Pure.

Memory grows with the number of different lengths, and by eight bytes a message.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from hashlib import sha256
from itertools import groupby, pairwise
from math import ceil
from typing import Any

from trees.interchange.flat import DETOXIFY
from trees.interchange.format import Node
from trees.interchange.tree_record import SPLITS

CHARACTER_BINS = (0, 25, 50, 100, 200, 400, 800, 1600, 3200, 6400)
SCORE_BINS = 10


class Lengths:
    """Characters of the texts, by role. Not words, which some languages do not separate."""

    def __init__(self) -> None:
        self._characters: defaultdict[str, Counter[int]] = defaultdict(Counter)

    def add(self, message: Node) -> None:
        self._characters[message["role"]][len(message["text"])] += 1

    def result(self) -> dict[str, Any]:
        return {role: _described(self._characters[role]) for role in sorted(self._characters)}


def _described(lengths: Mapping[int, int]) -> dict[str, Any]:
    total = sum(lengths.values())
    ends: list[int | None] = [*CHARACTER_BINS[1:], None]
    return {
        "median": _quantile(lengths, total, 0.5),
        "nine_of_ten": _quantile(lengths, total, 0.9),
        "longest": max(lengths),
        "histogram": [
            sum(number for length, number in lengths.items() if start <= length < (end or length + 1))
            for start, end in zip(CHARACTER_BINS, ends, strict=True)
        ],
    }


def _quantile(lengths: Mapping[int, int], total: int, share: float) -> int:
    """Return the smallest length that at least this share of the texts does not exceed."""
    passed = 0
    for length, number in sorted(lengths.items()):
        passed += number
        if passed >= ceil(share * total):
            return length
    raise ValueError("There are no texts.")


class RepeatedTexts:
    """Texts that occur more than once with the same role, and those that are in several splits.

    Texts are the same if they differ only in case and white space.
    """

    def __init__(self) -> None:
        self._seen: defaultdict[str, array[int]] = defaultdict(lambda: array("Q"))

    def add(self, message: Node, split: str) -> None:
        words = " ".join(message["text"].casefold().split())
        # 62 bits of a hash; two of a million texts share them with a probability of one in ten million.
        number = int.from_bytes(sha256(words.encode()).digest()[:8])
        self._seen[message["role"]].append(number & ~0b11 | SPLITS.index(split))

    def result(self) -> dict[str, Any]:
        return {role: _repeated(self._seen[role]) for role in sorted(self._seen)}


def _repeated(seen: "array[int]") -> dict[str, int]:
    texts = messages = across = 0
    for _, group in groupby(sorted(seen), key=lambda number: number >> 2):
        same = list(group)
        if len(same) > 1:
            texts += 1
            messages += len(same)
            across += any(a != b for a, b in pairwise(same))
    return {"texts": texts, "messages": messages, "texts_in_several_splits": across}


class DetoxifyScores:
    """Scores that a model gave to the texts. A message without them is unknown and counts in no mean."""

    def __init__(self) -> None:
        self._known = self._unknown = 0
        self._sums: dict[str, float] = dict.fromkeys(DETOXIFY, 0.0)
        self._counts: dict[str, int] = dict.fromkeys(DETOXIFY, 0)
        self._toxicity = [0] * SCORE_BINS

    def add(self, message: Node) -> None:
        scores = message["detoxify"] or {}
        known = {name: value for name in DETOXIFY if (value := scores.get(name)) is not None}
        self._known += bool(known)
        self._unknown += not known
        for name, value in known.items():
            self._sums[name] += value
            self._counts[name] += 1
        if "toxicity" in known:
            self._toxicity[min(SCORE_BINS - 1, max(0, int(known["toxicity"] * SCORE_BINS)))] += 1

    def result(self) -> dict[str, Any]:
        return {
            "known": self._known,
            "unknown": self._unknown,
            "scores": {
                name: {"mean": round(self._sums[name] / count, 6), "count": count}
                for name, count in self._counts.items()
                if count
            },
            "toxicity_histogram": self._toxicity,
        }
