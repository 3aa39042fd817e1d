"""The loss of a model on conversations that it was not trained on: only what the assistant says counts, token by token.

Two models with different tokens can be compared by bits per byte; by loss and perplexity only if they share their
tokens.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from inference.engine.chat_template import BadTemplate
from inference.evaluating import intervals
from inference.evaluating.models import Opened
from inference.evaluating.report import Better, Figure, Measure, figure
from inference.evaluating.settings import Settings
from inference.training.errors import TrainingError
from inference.training.samples import NO_LABEL, Conversation, Funnel, cut, messages_of
from inference.training.snapshot import Row, SnapshotFolder

PART = "held_out"
_TOKENS_TOGETHER = 4096
_BITS = math.log(2)
_NATS_AT_MOST = 700.0  # e to this is the largest number there is


@dataclass(frozen=True)
class TreeLoss:
    """What a model says about one tree, in one language."""

    tree: str
    lang: str
    nats: float
    """The sum over learned tokens."""
    tokens: int
    bytes: int
    """Of the texts of these tokens."""
    blind: float
    """What it would be if all tokens of the vocabulary were equally likely."""


def tree_losses(opened: Opened, snapshot: SnapshotFolder, settings: Settings, funnel: Funnel) -> list[TreeLoss]:
    """Return the losses, in the order of the snapshot. Raise TrainingError (`changed`, `template`)."""
    samples: list[tuple[tuple[str, str], Conversation]] = []
    template, length = opened.template(), min(settings.max_length, opened.loaded.context)
    try:
        for row, learn in _new_answers(_rows(snapshot, settings, funnel)):
            pieces = [one for one in cut(messages_of(row["messages"]), learn, template, length) if _learned(one)]
            if not pieces and any(learn):
                funnel.left_out["too long"] += 1
            samples += [((row["message_tree_id"], row["lang"] or ""), one) for one in pieces]
    except BadTemplate as error:
        raise TrainingError(str(error), code="template") from error
    funnel.samples += len(samples)
    sums: dict[tuple[str, str], list[float]] = {key: [0.0, 0, 0] for key, _ in samples}
    for (key, one), nats in zip(samples, _losses(opened, [one for _, one in samples]), strict=True):
        said = _learned(one)
        text = opened.loaded.tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        for place, value in enumerate((nats, len(said), len(text.encode()))):
            sums[key][place] += value
    each = math.log(opened.loaded.vocabulary)
    return [TreeLoss(*key, nats, int(tokens), int(size), tokens * each) for key, (nats, tokens, size) in sums.items()]


def _rows(snapshot: SnapshotFolder, settings: Settings, funnel: Funnel) -> list[Row]:
    rows = list(snapshot.rows("threads", settings.part, settings.langs))
    funnel.rows += len(rows)
    return drawn(rows, settings.most_conversations, settings.seed, funnel)


def drawn(rows: list[Row], most: int, seed: int, funnel: Funnel) -> list[Row]:
    """Return all rows, or so many of them by the seed, in their order."""
    if not most or len(rows) <= most:
        return rows
    funnel.left_out["more than wanted"] += len(rows) - most
    return [rows[one] for one in sorted(random.Random(seed).sample(range(len(rows)), most))]  # noqa: S311  (no secret)


def _new_answers(rows: list[Row]) -> Iterator[tuple[Row, list[bool]]]:
    """Yield each conversation with which of its messages did not stand in one before: many share their beginnings."""
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        paths = [tuple(row["message_ids"][: end + 1]) for end in range(len(row["message_ids"]))]
        yield row, [path not in seen for path in paths]
        seen.update(paths)


def _learned(one: Conversation) -> list[int]:
    return [label for label in one.labels if label != NO_LABEL]


def _losses(opened: Opened, samples: Sequence[Conversation]) -> list[float]:
    """Return the sum of the losses of the learned tokens of each sample."""
    import torch
    from torch.nn.functional import cross_entropy

    model, found = opened.loaded.model, [0.0] * len(samples)
    for places in _together(samples):
        longest = max(len(samples[place].ids) for place in places)
        ids, labels, seen = (
            torch.tensor(rows, device=model.device)
            for rows in (
                [samples[place].ids + [0] * (longest - len(samples[place].ids)) for place in places],
                [samples[place].labels + [NO_LABEL] * (longest - len(samples[place].labels)) for place in places],
                [[1] * len(samples[place].ids) + [0] * (longest - len(samples[place].ids)) for place in places],
            )
        )
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=seen, use_cache=False).logits[:, :-1].float()
            each = cross_entropy(logits.transpose(1, 2), labels[:, 1:], ignore_index=NO_LABEL, reduction="none")
        for place, nats in zip(places, each.double().sum(dim=1).tolist(), strict=True):
            found[place] = nats
    return found


def _together(samples: Sequence[Conversation]) -> Iterator[list[int]]:
    """Yield the places of samples of like length, which need little padding."""
    batch: list[int] = []
    for place in sorted(range(len(samples)), key=lambda one: len(samples[one].ids)):
        if batch and (len(batch) + 1) * len(samples[place].ids) > _TOKENS_TOGETHER:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


_KINDS: tuple[tuple[str, str, Any, Better], ...] = (
    ("loss", "Loss per token on held-out answers", "nats", "lower"),
    ("perplexity", "Perplexity on held-out answers", "", "lower"),
    ("bits_per_byte", "Bits per byte of held-out answers", "bits", "lower"),
    ("above_chance", "What it knows of held-out answers, from blind guessing to certainty", "share", "higher"),
)
_PER: dict[str, Callable[[TreeLoss], float]] = {
    "loss": lambda one: one.tokens,
    "perplexity": lambda one: one.tokens,
    "bits_per_byte": lambda one: one.bytes,
    "above_chance": lambda one: one.blind,
}


def measures(found: Sequence[TreeLoss], against: Sequence[TreeLoss] | None, settings: Settings) -> dict[str, Measure]:
    """Return the figures over all and by language, with intervals over trees."""
    langs = sorted({one.lang for one in found} | {one.lang for one in against or ()} - {""})
    parts: list[tuple[str, str]] = [("", ""), *((f".{lang}", lang) for lang in langs if lang)]
    named: dict[str, Measure] = {}
    for suffix, lang in parts:
        mine = [one for one in found if not lang or one.lang == lang]
        other = None if against is None else [one for one in against if not lang or one.lang == lang]
        for kind, title, unit, better in _KINDS:
            named[f"{PART}.{kind}{suffix}"] = Measure(
                title=f"{title}, {lang}" if lang else title,
                unit=unit,
                better=better,
                model=_figure(kind, mine, settings),
                against=None if other is None else _figure(kind, other, settings),
                difference=None if other is None else _difference(kind, mine, other, settings),
            )
    return named


def _ratio(kind: str, trees: Sequence[TreeLoss]) -> float | None:
    per = sum(map(_PER[kind], trees))
    return _as(kind, sum(one.nats for one in trees) / per) if per else None


def _as(kind: str, nats: float) -> float:
    """Return the figure of this kind for a loss in its unit."""
    if kind == "above_chance":
        return 1 - nats
    if kind == "perplexity":
        return math.exp(min(nats, _NATS_AT_MOST)) if not math.isnan(nats) else nats
    return nats / _BITS if kind == "bits_per_byte" else nats


def _drawn_ratios(kind: str, trees: Sequence[TreeLoss], settings: Settings) -> Any:
    counts = [_PER[kind](one) for one in trees]
    ratios = intervals.ratios_drawn([one.nats for one in trees], counts, rounds=settings.rounds, seed=settings.seed)
    return None if ratios is None else [_as(kind, float(one)) for one in ratios]


def _figure(kind: str, trees: Sequence[TreeLoss], settings: Settings) -> Figure:
    import numpy as np

    ratios = _drawn_ratios(kind, trees, settings)
    interval = None if ratios is None else intervals.quantiles(np.array(ratios))
    cause = f"There are no answers in the {settings.part} part of the snapshot."
    return figure(_ratio(kind, trees), interval, number=len({one.tree for one in trees}), cause=cause)


def _difference(kind: str, mine: Sequence[TreeLoss], other: Sequence[TreeLoss], settings: Settings) -> Figure:
    """Return the difference, whose interval is over the same trees for both."""
    import numpy as np

    one, two = _ratio(kind, mine), _ratio(kind, other)
    if one is None or two is None:
        return figure(None, cause="One of the models has no value.")
    same = [(a.tree, a.lang) for a in mine] == [(b.tree, b.lang) for b in other]
    left, right = (_drawn_ratios(kind, trees, settings) for trees in (mine, other))
    interval = None
    if same and left is not None and right is not None and len(left) == len(right):
        interval = intervals.quantiles(np.array(left) - np.array(right))
    return figure(one - two, interval, number=len({tree.tree for tree in mine}))
