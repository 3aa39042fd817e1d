"""Batches of samples, and the log probabilities that a model gives to answers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inference.comparing.ranking_metrics import Ranking
from inference.training.losses import PADDED
from inference.training.samples import Judged, Order, Pair

if TYPE_CHECKING:
    from torch import Tensor

Batch = dict[str, Any]


def texts(prompts: Sequence[list[int]], answers: Sequence[list[int]], pad_token_id: int) -> Batch:
    """Return prompts with their answers, one a row, filled up at the right: ids, attention, and which are answers."""
    import torch

    rows = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
    longest = max(map(len, rows))
    said = [
        [0] * len(prompt) + [1] * len(answer) + [0] * (longest - len(prompt) - len(answer))
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    return {
        "input_ids": torch.tensor([row + [pad_token_id] * (longest - len(row)) for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
        "is_answer": torch.tensor(said, dtype=torch.bool),
    }


def of_pairs(pairs: Sequence[Pair], pad_token_id: int) -> Batch:
    """Return the chosen answers, then the rejected ones, with `share`."""
    import torch

    prompts = [one.prompt for one in pairs]
    answers = [*(one.chosen for one in pairs), *(one.rejected for one in pairs)]
    shares = torch.tensor([one.share for one in pairs], dtype=torch.float32)
    return {**texts([*prompts, *prompts], answers, pad_token_id), "share": shares}


def of_orders(orders: Sequence[Order], pad_token_id: int) -> Batch:
    """Return all answers, one a row, with `ranks` of shape (prompts, most answers)."""
    import torch

    most = max(len(one.answers) for one in orders)
    prompts = [one.prompt for one in orders for _ in one.answers]
    ranks = [one.ranks + [PADDED] * (most - len(one.ranks)) for one in orders]
    answers = [answer for one in orders for answer in one.answers]
    return {**texts(prompts, answers, pad_token_id), "ranks": torch.tensor(ranks)}


def of_judged(judged: Sequence[Judged], pad_token_id: int) -> Batch:
    """Return the answers, and as `unsaid` each prompt with the answer to another one."""
    import torch

    prompts, answers = [one.prompt for one in judged], [one.answer for one in judged]
    return {
        **texts(prompts, answers, pad_token_id),
        "good": torch.tensor([one.good for one in judged]),
        "unsaid": texts(prompts, [answers[-1], *answers[:-1]], pad_token_id),
    }


def rankings(batch: Batch, scores: "Tensor") -> list[Ranking]:
    """Return how a batch of orders or pairs was scored, with the lengths of the answers."""
    found, lengths = scores.tolist(), batch["is_answer"].sum(dim=1).tolist()
    if "ranks" not in batch:
        half = len(found) // 2
        groups = [([place, place + half], [0, 1]) for place in range(half)]
    else:
        groups, start = [], 0
        for row in batch["ranks"].tolist():
            ranks = [rank for rank in row if rank != PADDED]
            groups.append((list(range(start, start + len(ranks))), ranks))
            start += len(ranks)
    return [Ranking([found[one] for one in rows], ranks, [lengths[one] for one in rows]) for rows, ranks in groups]


def log_probabilities(model: Any, batch: Batch) -> "Tensor":
    """Return for each row the log probability of its answer, summed over tokens."""
    from torch.nn.functional import cross_entropy

    outputs = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    logits, said = outputs.logits[:, :-1].float(), batch["input_ids"][:, 1:]
    each = -cross_entropy(logits.transpose(1, 2), said, reduction="none")
    return (each * batch["is_answer"][:, 1:]).sum(dim=1)


def scores(model: Any, batch: Batch) -> "Tensor":
    """Return the score of each row by a reward model."""
    found: Tensor = (
        model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.float().squeeze(1)
    )
    return found
