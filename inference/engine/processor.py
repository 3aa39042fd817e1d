"""Draw the next token of each request of a batch by the settings of the request.

The library's manager stays greedy: it takes the largest score. For a request that samples, the scores are changed so
that the largest belongs to the drawn token: they are filtered, then Gumbel noise is added, which is the same as drawing
from the softmax (Gumbel-max trick: Maddison et al. 2014, "A* Sampling"). The noise depends only on the seed and the
position in the text, so a request gives the same text alone, in a batch, and when it continues after a crash.

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
_NUCLEUS_SIZE = 1024
"""A nucleus rarely has more tokens. Only then is the whole vocabulary sorted, which costs milliseconds per token."""


class PerRequestProcessor(ContinuousBatchingLogitsProcessor):
    supported_kwargs = {"sampling": Sampling}
    ignored_kwargs = ()

    def __init__(self) -> None:
        self._states: list[Any] = []
        self.failed: dict[str, str] = {}
        """Errors by request id. Such a request continues greedily until the engine ends it."""

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: Sequence[Any]) -> torch.Tensor:
        """Keep the states for the next call. The library wants one number per request."""
        self._states = [request.state for request in requests_with_new_token]
        return torch.zeros(len(self._states), dtype=torch.int32)

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:
        """Draw for each request of `prepare_tensor_args`, in the order of the rows. scores: [rows, vocabulary]."""
        for row, state in zip(scores, self._states, strict=False):
            sampling: Sampling | None = state.logit_processor_kwargs.get("sampling")
            if sampling is None:
                continue
            try:
                row.copy_(draw(row, sampling, state.initial_tokens + state.generated_tokens))
            except Exception as error:
                # An error here would end the thread of all requests.
                logger.exception("settings of request %s failed", state.request_id)
                self.failed[state.request_id] = str(error)
        return scores


def draw(scores: torch.Tensor, sampling: Sampling, before: Sequence[int]) -> torch.Tensor:
    """Return scores [vocabulary] whose largest is that of the token to take. before: all ids of prompt and answer."""
    scores = _penalized(scores, sampling, before)
    if sampling.greedy:
        return scores
    kept, token_ids = _filtered(scores / sampling.temperature, sampling)
    noise = _gumbel(len(scores), sampling.seed, len(before)).to(scores.device)
    drawn = torch.full_like(scores, NEVER)
    drawn[token_ids] = kept + noise[token_ids]
    return drawn


def _penalized(scores: torch.Tensor, sampling: Sampling, before: Sequence[int]) -> torch.Tensor:
    if sampling.repetition_penalty == 1 and not sampling.logit_bias:
        return scores
    scores = scores.clone()
    if sampling.repetition_penalty != 1:
        seen = torch.tensor(sorted(set(before)), device=scores.device)
        old = scores[seen]
        scores[seen] = torch.where(old < 0, old * sampling.repetition_penalty, old / sampling.repetition_penalty)
    for token_id, bias in sampling.logit_bias.items():
        if token_id < len(scores):
            scores[token_id] += bias
    return scores


def _filtered(scores: torch.Tensor, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the scores and ids of the tokens that may be drawn, at least one."""
    total = torch.logsumexp(scores, 0)
    if 0 < sampling.top_k < len(scores):
        scores, token_ids = torch.topk(scores, sampling.top_k)
        total = torch.logsumexp(scores, 0)
    else:
        token_ids = torch.arange(len(scores), device=scores.device)
    if sampling.top_p < 1:
        scores, token_ids = _nucleus(scores, token_ids, total, sampling.top_p)
    if sampling.typical_p < 1:
        scores, token_ids = _typical(scores, token_ids, sampling.typical_p)
    return scores, token_ids


def _nucleus(
    scores: torch.Tensor, token_ids: torch.Tensor, total: torch.Tensor, share: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the likeliest tokens that together have at least `share` of all the probability."""
    for size in (min(_NUCLEUS_SIZE, len(scores)), len(scores)):
        largest, indexes = torch.topk(scores, size)
        before = torch.cumsum(torch.exp(largest - total), 0) - torch.exp(largest - total)
        keep = before < share
        if not keep[-1]:
            break
    keep[0] = True
    return largest[keep], token_ids[indexes[keep]]


def _typical(scores: torch.Tensor, token_ids: torch.Tensor, share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the tokens with surprise nearest to the entropy, up to `share` of the probability."""
    logs = torch.log_softmax(scores, 0)
    chances = logs.exp()
    entropy = -(chances * logs).nansum()
    order = torch.argsort((-logs - entropy).abs())
    before = torch.cumsum(chances[order], 0) - chances[order]
    keep = order[before < share]
    return scores[keep], token_ids[keep]


def _gumbel(size: int, seed: int, position: int) -> torch.Tensor:
    """Return noise for each token, from a CPU generator so that all machines draw the same."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + position) % 2**63)
    uniform = torch.rand(size, generator=generator, dtype=torch.float64)
    return -torch.log(-torch.log(uniform.clamp_(min=1e-300))).float()
