"""Losses of reward models, in torch. Scores are logits; each prompt weighs the same, with few answers or many."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

PADDED = -1
"""The rank of a place without an answer."""


def plackett_luce(scores: "Tensor", ranks: "Tensor") -> "Tensor":
    """Return how unlikely these orders are, per choice.

    `scores` and `ranks` are of shape (prompts, answers); ranks begin at 0 for the best, equal ranks are ties, PADDED is
    no answer. Each place is a choice among the answers that are not placed yet (Plackett, 1975; Luce, 1959); tied
    answers are each chosen from the same ones (Breslow, 1974). The last place, tied or not, is no choice.
    """
    import torch

    here = ranks != PADDED
    later = ranks.unsqueeze(1) >= ranks.unsqueeze(2)  # [prompt, chosen, other]: not placed before the chosen one
    among = later & here.unsqueeze(1) & here.unsqueeze(2)
    open_ones = scores.unsqueeze(1).masked_fill(~among, -torch.inf)
    # Without an answer nothing is open; such rows are set to zero below.
    costs = torch.logsumexp(open_ones.masked_fill(~here.unsqueeze(2), 0.0), dim=2) - scores
    is_choice = here & (among & (ranks.unsqueeze(1) > ranks.unsqueeze(2))).any(dim=2)
    choices = is_choice.sum(dim=1)
    return ((costs * is_choice).sum(dim=1) / choices.clamp(min=1)).sum() / (choices > 0).sum().clamp(min=1)


def pairwise(better: "Tensor", worse: "Tensor", share: "Tensor", smoothing: float = 0.0) -> "Tensor":
    """Return the logistic loss of each pair (Bradley and Terry, 1952).

    `share` is the part of the people who prefer the first, so 0.5 says nothing; all three are of one shape.
    """
    from torch.nn.functional import logsigmoid

    for_better = share * (1 - smoothing) + (1 - share) * smoothing
    return -(for_better * logsigmoid(better - worse) + (1 - for_better) * logsigmoid(worse - better))


def all_pairs(scores: "Tensor", ranks: "Tensor", smoothing: float = 0.0, penalty: float = 0.0) -> "Tensor":
    """Return the mean over prompts of the mean over all pairs of different rank, with `penalty` on half the squares.

    Shapes are those of `plackett_luce`.
    """
    import torch

    here = ranks != PADDED
    is_pair = (ranks.unsqueeze(2) < ranks.unsqueeze(1)) & here.unsqueeze(1) & here.unsqueeze(2)
    better, worse = scores.unsqueeze(2), scores.unsqueeze(1)
    costs = pairwise(better, worse, torch.ones_like(scores).unsqueeze(2), smoothing)
    costs = costs + penalty * (better**2 + worse**2) / 2
    pairs = is_pair.sum(dim=(1, 2))
    return ((costs * is_pair).sum(dim=(1, 2)) / pairs.clamp(min=1)).sum() / (pairs > 0).sum().clamp(min=1)


def preference(
    chosen: "Tensor", rejected: "Tensor", share: "Tensor", *, kind: str = "sigmoid", beta: float, smoothing: float = 0.0
) -> "Tensor":
    """Return the loss of each pair in direct preference optimization (Rafailov et al., 2023).

    `chosen` and `rejected` say by how much the model finds an answer likelier than the base model does: differences of
    log probabilities, summed over tokens (for "ipo", their mean). With `share` each pair counts as much as people agree
    about it (conservative DPO; Mitchell, 2023). Also "ipo" (Azar et al., 2023) and "hinge" (Zhao et al., 2023).
    """
    margin = chosen - rejected
    if kind == "sigmoid":
        return pairwise(beta * chosen, beta * rejected, share, smoothing)
    for_chosen = share * (1 - smoothing) + (1 - share) * smoothing
    if kind == "hinge":
        return for_chosen * (1 - beta * margin).relu() + (1 - for_chosen) * (1 + beta * margin).relu()
    if kind == "ipo":
        return for_chosen * (margin - 1 / (2 * beta)) ** 2 + (1 - for_chosen) * (margin + 1 / (2 * beta)) ** 2
    raise ValueError(f"no loss {kind!r}")


def desirability(
    gains: "Tensor", drift: "Tensor", good: "Tensor", *, beta: float, weights: tuple[float, float]
) -> "Tensor":
    """Return the loss of each answer in Kahneman–Tversky optimization (Ethayarajh et al., 2024).

    `gains` are as in `preference`, `drift` (one number) is how far the model is from the base model, `good` says which
    answers are good, and `weights` how much good and bad ones count.
    """
    import torch

    above = torch.sigmoid(beta * (gains - drift))
    return torch.where(good, weights[0] * (1 - above), weights[1] * above)  # 1 - σ(-x) = σ(x)


def share_in_order(scores: "Tensor", ranks: "Tensor") -> "Tensor":
    """Return the part of all pairs of different rank that the scores put in order, each prompt weighing the same.

    Shapes are those of `plackett_luce`.
    """
    here = ranks != PADDED
    is_pair = (ranks.unsqueeze(2) < ranks.unsqueeze(1)) & here.unsqueeze(1) & here.unsqueeze(2)
    right = (scores.unsqueeze(2) > scores.unsqueeze(1)) & is_pair
    pairs = is_pair.sum(dim=(1, 2))
    return (right.sum(dim=(1, 2)) / pairs.clamp(min=1)).sum() / (pairs > 0).sum().clamp(min=1)
