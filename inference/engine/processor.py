"""Draws the next token of each request by its own settings, in one place of the batch.

The library's manager stays greedy: it takes the largest score. For a request that samples, the scores are changed so
that the largest is the drawn one: filtered, then disturbed by Gumbel noise, which is the same as drawing from the
softmax (Gumbel-max trick: Maddison et al. 2014, "A* Sampling"). The noise depends only on the seed and on the place in
the text, so that a request gives the same text alone, in a batch, and when it goes on after a crash.

Order and meaning of the filters are those of `transformers.generation.logits_process`: repetition penalty
(Keskar et al. 2019), bias, temperature, top-k, top-p (Holtzman et al. 2020), typical (Meister et al. 2022).
"""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from transformers.generation.continuous_batching.cb_logits_processors import ContinuousBatchingLogitsProcessor

from inference.engine.sampling import Sampling

logger = logging.getLogger(__name__)
NEVER = float("-inf")
_ENOUGH = 1024
"""A nucleus rarely has more tokens; only then is the whole vocabulary sorted, which costs milliseconds a token."""


class PerRequestProcessor(ContinuousBatchingLogitsProcessor):
    supported_kwargs = {"sampling": Sampling}
    ignored_kwargs = ()

    def __init__(self) -> None:
        self._states: list[Any] = []
        self.failed: dict[str, str] = {}
        """Requests whose settings raised an error here, and which. They went on greedily; the engine ends them."""

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: Sequence[Any]) -> torch.Tensor:
        """The library carries one number for each request. We keep the states, for the call that follows."""
        self._states = [request.state for request in requests_with_new_token]
        return torch.zeros(len(self._states), dtype=torch.int32)

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:
        """scores: [rows, vocabulary]; the first rows belong to the requests of `prepare_tensor_args`, in order."""
        for row, state in zip(scores, self._states, strict=False):
            chosen: Sampling | None = state.logit_processor_kwargs.get("sampling")
            if chosen is None:
                continue
            try:
                row.copy_(draw(row, chosen, state.initial_tokens + state.generated_tokens))
            except Exception as error:
                # An error here would end the thread of everybody.
                logger.exception("settings of request %s failed", state.request_id)
                self.failed[state.request_id] = str(error)
        return scores


def draw(scores: torch.Tensor, chosen: Sampling, before: Sequence[int]) -> torch.Tensor:
    """scores: [vocabulary], changed so that the largest is the token to take; before: all ids of prompt and answer."""
    scores = _penalised(scores, chosen, before)
    if chosen.greedy:
        return scores
    kept, token_ids = _filtered(scores / chosen.temperature, chosen)
    noise = _gumbel(len(scores), chosen.seed, len(before)).to(scores.device)
    drawn = torch.full_like(scores, NEVER)
    drawn[token_ids] = kept + noise[token_ids]
    return drawn


def _penalised(scores: torch.Tensor, chosen: Sampling, before: Sequence[int]) -> torch.Tensor:
    if chosen.repetition_penalty == 1 and not chosen.logit_bias:
        return scores
    scores = scores.clone()
    if chosen.repetition_penalty != 1:
        seen = torch.tensor(sorted(set(before)), device=scores.device)
        old = scores[seen]
        scores[seen] = torch.where(old < 0, old * chosen.repetition_penalty, old / chosen.repetition_penalty)
    for token_id, bias in chosen.logit_bias.items():
        if token_id < len(scores):
            scores[token_id] += bias
    return scores


def _filtered(scores: torch.Tensor, chosen: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
    """The scores that may be drawn, and their token ids. There is always one."""
    total = torch.logsumexp(scores, 0)
    if 0 < chosen.top_k < len(scores):
        scores, token_ids = torch.topk(scores, chosen.top_k)
        total = torch.logsumexp(scores, 0)
    else:
        token_ids = torch.arange(len(scores), device=scores.device)
    if chosen.top_p < 1:
        scores, token_ids = _nucleus(scores, token_ids, total, chosen.top_p)
    if chosen.typical_p < 1:
        scores, token_ids = _typical(scores, token_ids, chosen.typical_p)
    return scores, token_ids


def _nucleus(
    scores: torch.Tensor, token_ids: torch.Tensor, total: torch.Tensor, share: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest tokens that together have at least `share` of all the probability."""
    for size in (min(_ENOUGH, len(scores)), len(scores)):
        largest, places = torch.topk(scores, size)
        before = torch.cumsum(torch.exp(largest - total), 0) - torch.exp(largest - total)
        keep = before < share
        if not keep[-1]:
            break
    keep[0] = True
    return largest[keep], token_ids[places[keep]]


def _typical(scores: torch.Tensor, token_ids: torch.Tensor, share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens whose surprise is nearest to the expected one, until they have `share` of the probability."""
    logs = torch.log_softmax(scores, 0)
    chances = logs.exp()
    entropy = -(chances * logs).nansum()
    order = torch.argsort((-logs - entropy).abs())
    before = torch.cumsum(chances[order], 0) - chances[order]
    keep = order[before < share]
    return scores[keep], token_ids[keep]


def _gumbel(size: int, seed: int, position: int) -> torch.Tensor:
    """Noise for each token, from a generator on the CPU so that all machines draw the same."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + position) % 2**63)
    uniform = torch.rand(size, generator=generator, dtype=torch.float64)
    return -torch.log(-torch.log(uniform.clamp_(min=1e-300))).float()
