"""Put several short samples into one row, so that little of a batch is padding.

Positions begin at 0 with each sample, by which `transformers` knows that samples of a row must not see each other.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inference.training.samples import NO_LABEL, Conversation


def pack(samples: Sequence[Conversation], length: int) -> list[list[Conversation]]:
    """Return rows of samples with at most `length` tokens each: each sample, the longest first, goes to the row with
    the least room that is enough (best-fit decreasing). Longer samples get a row of their own.
    """
    rows: list[list[Conversation]] = []
    room: list[list[int]] = [[] for _ in range(length + 1)]  # by free tokens: a heap of rows, the earliest first
    for sample in sorted(samples, key=lambda one: -len(one.ids)):
        size = len(sample.ids)
        free = next((free for free in range(size, length + 1) if room[free]), None)
        if free is None:
            rows.append([sample])
            number, free = len(rows) - 1, max(length, size)
        else:
            number = heapq.heappop(room[free])
            rows[number].append(sample)
        heapq.heappush(room[free - size], number)
    return rows


def as_row(samples: Sequence[Conversation]) -> dict[str, list[int]]:
    return {
        "input_ids": [token for one in samples for token in one.ids],
        "labels": [label for one in samples for label in one.labels],
        "position_ids": [position for one in samples for position in range(len(one.ids))],
    }


@dataclass(frozen=True)
class PackedCollator:
    """Makes a batch of rows. What fills up a row is a sample of its own, so it needs no attention mask."""

    pad_token_id: int

    def __call__(self, rows: Sequence[dict[str, list[int]]]) -> dict[str, Any]:
        import torch

        longest = max(len(row["input_ids"]) for row in rows)
        filled = [longest - len(row["input_ids"]) for row in rows]
        pads = {"input_ids": self.pad_token_id, "labels": NO_LABEL}
        batch = {
            name: torch.tensor([row[name] + [pad] * more for row, more in zip(rows, filled, strict=True)])
            for name, pad in pads.items()
        }
        positions = [row["position_ids"] + list(range(more)) for row, more in zip(rows, filled, strict=True)]
        return {**batch, "position_ids": torch.tensor(positions)}
